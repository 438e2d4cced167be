"""Text of strangers is escaped wherever it could steer a terminal, and an error keeps its first cause."""

from __future__ import annotations

import unicodedata

import pytest

from e4_tools.errors import ToolError, cleaning_up, with_notes
from e4_tools.printable import printable


def test_ordinary_text_stays_as_it_is() -> None:
    for text in ("", "21.5 °C", "grüezi, 你好, مرحبا, 🙂", "C:\\path", "quotes \" and '"):
        assert printable(text) == text
    assert printable("grüezi".encode()) == "grüezi"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;eA==\x07", "\\x1b]52;c;eA==\\x07"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("a\r\nb\tc\x08", "a\\r\\nb\\tc\\x08"),
        ("\u202e\u2066\u200f", "\\u202e\\u2066\\u200f"),
        ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"),
        ("\u200b\ufeff\u00ad\u00a0", "\\u200b\\ufeff\\xad\\xa0"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        (b"\xff\x9b2J", "\\xff\\x9b2J"),
    ],
)
def test_what_steers_is_shown(text: str | bytes, shown: str) -> None:
    assert printable(text) == shown


def test_no_control_of_all_of_unicode_is_left() -> None:
    every = "".join(map(chr, range(0x110000)))
    left = {unicodedata.category(char) for char in printable(every)}
    assert not left & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert printable("a\tb\nc", keep="\t") == "a\tb\\nc"


def test_the_text_of_an_error_is_safe_and_so_are_its_notes() -> None:
    error = ToolError("the board says \x1b[2J\nand more")
    error.add_note("left: \x1b[2J")
    assert str(error) == "the board says \\x1b[2J\nand more"
    assert with_notes(error) == "the board says \\x1b[2J\nand more left: \\x1b[2J"


def test_cleaning_up_never_hides_the_first_error() -> None:
    done = []

    def clean_up() -> None:
        done.append(1)
        raise ToolError("second \x1b")

    with pytest.raises(ToolError, match="first") as caught, cleaning_up(clean_up, "something may be left"):
        raise ToolError("first")
    assert caught.value.__notes__ == ["something may be left: second \\x1b"]
    with pytest.raises(KeyboardInterrupt), cleaning_up(clean_up, "left"):
        raise KeyboardInterrupt
    with pytest.raises(ToolError, match="second"), cleaning_up(clean_up, "left"):
        pass
    assert len(done) == 3
