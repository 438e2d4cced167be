"""The serial console: lines that are typed byte by byte, and text that is printed."""

from firmware.console import LineEditor, shown, text


def _type(data):
    editor = LineEditor()
    return [line for line in (editor.take(byte) for byte in data) if line is not None]


def test_every_kind_of_line_end_ends_one_line():
    assert _type(b"one\rtwo\nthree\r\nfour\r\n\r\n") == ["one", "two", "three", "four", ""]


def test_backspace_takes_back_one_character():
    assert _type(b"helo\x7flo\r") == ["hello"]
    assert _type(b"\x08\x08x\r") == ["x"]
    assert _type("20 °C€\x7f\r".encode()) == ["20 °C"]


def test_control_characters_are_not_taken():
    assert _type(b"a\x00\x1b\x05b\r") == ["ab"]


def test_a_line_without_end_stays_bounded():
    (line,) = _type(b"x" * 5000 + b"\r")
    assert len(line) == 512
    (line,) = _type(b"a" + "é".encode() * 600 + b"\r")
    assert line == "a" + "é" * 256


def test_a_line_that_is_no_text_is_dropped():
    assert _type(b"\xff\xfe\r") == [""]


def test_text_for_a_person_has_no_terminal_commands():
    assert text("21,5 °C".encode()) == "21,5 °C"
    for message in (b"\x1b[2Jgone", b"two\nlines", b"\xff\xfe", b"\xc2\x9b1m", b"bell\x07"):
        assert text(message) == repr(message)


def test_payloads_are_shown_in_hexadecimal_and_cut():
    assert shown(b"\x00\xff") == "00ff (2 bytes)"
    assert shown(bytes(100)) == "00" * 48 + "... (100 bytes)"
