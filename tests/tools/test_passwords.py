"""Keys from passwords, compared with those of the reference client. Deriving one takes about 20 seconds."""

import json

import pytest

from e4_tools.errors import ToolError
from e4_tools.keys.passwords import derive_key, derive_keys
from helpers.boards import VECTORS


def test_the_reference_clients_keys() -> None:
    entries = json.loads(VECTORS.read_text())["vectors"]["passwords"]
    some = [entry for entry in entries if "alice" in entry["password"] or not entry["password"].isascii()]
    assert len(some) == 2
    keys = derive_keys(entry["password"] for entry in some)
    assert [key.hex() for key in keys] == [entry["symmetric_key"] for entry in some]


def test_a_short_password_is_refused_before_any_work() -> None:
    with pytest.raises(ToolError, match="16 bytes"):
        derive_key("fifteen-letters")
