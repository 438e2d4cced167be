"""Making text safe to print that comes from a board, a broker, or any other stranger.

Text can steer the terminal that shows it: set its title, write to the clipboard, clear it, move the cursor over lines
that were printed before, or show letters in another order than they have (Unicode Standard Annex 9). So nothing is
printed before `printable` has escaped it.
"""

from __future__ import annotations


def printable(text: str | bytes, keep: str = "") -> str:
    r"""Return text with everything escaped that is not printable, as Python writes it in a literal, such as `\x1b`.

    Escaped are control characters (C0, DEL, C1), the separators of lines and paragraphs, spaces other than the ordinary
    one, what steers the order or the shape of letters, what Unicode has not assigned, halves of surrogate pairs, and
    bytes that are no UTF-8. So the result is one line, and never begins a terminal's escape sequence. The characters
    in `keep` stay as they are. A backslash stays too: the result is to be read, and not to be taken back.
    """
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
