"""The serial console: lines that a person types, and texts that are safe to print."""

import binascii
import sys

from e4._const import const

_SHOWN = const(48)  # the bytes of a payload that are shown
_MAX_LINE = const(512)  # the bytes of a line; its last character may take up to 3 more


class LineEditor:
    """An editor for typed lines, with echo and backspace. Poll `stream`, and call `read_line` when it is readable."""

    def __init__(self) -> None:
        # The stream to poll.
        self.stream = sys.stdin
        # The stream of bytes to read.
        self._bytes = sys.stdin.buffer if hasattr(sys.stdin, "buffer") else sys.stdin
        # The bytes of the line so far.
        self._line = bytearray()
        # The bytes that the character being typed still lacks.
        self._rest = 0
        # True if the last byte was a carriage return; a line feed after it belongs to it.
        self._after_return = False
        # True once the stream has ended; `read_line` sets it.
        self.has_ended = False

    def read_line(self) -> str | None:
        """Read one byte from the console, and return the line that it ends, or None."""
        typed = self._bytes.read(1)
        if not typed:
            self.has_ended = True
            return None
        return self.take(typed[0])  # type: ignore[arg-type]  # bytes, as the stream is binary

    def take(self, byte: int) -> str | None:
        """Take one typed byte, and return the line that it ends, or None. A line that is no UTF-8 is returned as ""."""
        ended_by_return, self._after_return = self._after_return, byte == 0x0D
        if byte in (0x0D, 0x0A):
            if byte == 0x0A and ended_by_return:  # This is the second half of CR LF.
                return None
            sys.stdout.write("\n")
            line, self._line, self._rest = self._line, bytearray(), 0
            try:
                return bytes(line).decode()
            except UnicodeError:
                return ""
        if byte in (0x08, 0x7F):
            self._erase()
        elif byte >= 0x20:
            self._append(byte)
        return None

    def _append(self, byte: int) -> None:
        """Take a byte of a character, and echo the character once it is whole. Beyond the limit no character begins."""
        if byte & 0xC0 == 0x80:
            if not self._rest:
                return
            self._rest -= 1
        elif len(self._line) >= _MAX_LINE:
            return
        else:
            self._rest = 0 if byte < 0xC0 else 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
        self._line.append(byte)
        if not self._rest:
            sys.stdout.write(text(bytes(self._line[character_start(self._line) :])))

    def _erase(self) -> None:
        """Remove the last character from the line and from the screen."""
        if self._line:
            self._line = self._line[: character_start(self._line)]
            self._rest = 0
            sys.stdout.write("\b \b")


def character_start(line: bytearray) -> int:
    """Return where the last character of UTF-8 text begins."""
    at = len(line) - 1
    while at > 0 and line[at] & 0xC0 == 0x80:
        at -= 1
    return at


def text(message: bytes) -> str:
    """Return a message as text for a person: its UTF-8 text, or its `repr` if it is no UTF-8 or has control characters.

    Control characters could take over the terminal of whoever reads it.
    """
    try:
        decoded = bytes(message).decode()
    except UnicodeError:
        return repr(bytes(message))
    for character in decoded:
        if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0:
            return repr(bytes(message))
    return decoded


def shown(payload: bytes) -> str:
    """Return the first 48 bytes of a payload in hexadecimal, and its length, as text."""
    head = binascii.hexlify(payload[:_SHOWN]).decode()
    return "{}{} ({} bytes)".format(head, "..." if len(payload) > _SHOWN else "", len(payload))
