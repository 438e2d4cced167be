"""Modules that are taken out of memory after use."""

import sys

import e4
from e4 import unload


def test_unloaded_module_is_gone_from_memory_and_can_be_imported_again():
    from e4 import names  # noqa: PLC0415

    kept = names.id_of
    unload.unload(names)
    if sys.implementation.name == "micropython":
        assert "e4.names" not in sys.modules
        assert not hasattr(e4, "names")
    unload.unload(names)
    from e4 import names as again  # noqa: PLC0415

    assert again.id_of("alice") == kept("alice")
    if sys.implementation.name == "micropython":
        assert again.id_of is not kept
