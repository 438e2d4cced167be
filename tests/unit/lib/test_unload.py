"""Modules that are taken out of memory after use."""

import sys

import e4
from e4 import unload


def test_unloaded_module_is_gone_from_memory_and_can_be_imported_again():
    from e4 import names  # noqa: PLC0415

    kept = names.id_of
    try:
        unload.unload(names)
        assert "e4.names" not in sys.modules
        assert not hasattr(e4, "names")
        unload.unload(names)
        from e4 import names as again  # noqa: PLC0415

        assert again.id_of("alice") == kept("alice")
        assert again.id_of is not kept
    finally:  # The tests that come after this one share the interpreter.
        sys.modules["e4.names"] = e4.names = names
