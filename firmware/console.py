"""The serial console: lines typed by a person, and what is safe to print to one."""

import binascii
import sys

from e4._const import const

_SHOWN = const(48)  # bytes of a payload that are shown
_MAX_LINE = const(512)  # bytes of a line, or up to 3 more for its last character


class LineEditor:
    """Collects typed lines, with echo and backspace. Poll `stream` and call `read_line` when it is readable."""

    def __init__(self) -> None:
        self.stream = sys.stdin
        self._bytes = sys.stdin.buffer if hasattr(sys.stdin, "buffer") else sys.stdin
        self._line = bytearray()
        self._rest = 0  # bytes that the character being typed still lacks
        self._after_return = False
        self.has_ended = False

    def read_line(self) -> str | None:
        """Take one typed byte; return the line that it ends, or None."""
        typed = self._bytes.read(1)
        if not typed:
            self.has_ended = True
            return None
        return self.take(typed[0])  # type: ignore[arg-type]  # bytes, as the stream is binary

    def take(self, byte: int) -> str | None:
        """Take one byte as typed; return the line that it ends, or None."""
        ended_by_return, self._after_return = self._after_return, byte == 0x0D
        if byte in (0x0D, 0x0A):
            if byte == 0x0A and ended_by_return:  # the second half of CR LF
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
        """Take a byte of a character; echo the character once it is whole. Beyond the limit none is begun."""
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
            sys.stdout.write(text(bytes(self._line[_character_start(self._line) :])))

    def _erase(self) -> None:
        if self._line:
            self._line = self._line[: _character_start(self._line)]
            self._rest = 0
            sys.stdout.write("\b \b")


def _character_start(line: bytearray) -> int:
    at = len(line) - 1
    while at > 0 and line[at] & 0xC0 == 0x80:
        at -= 1
    return at


def text(message: bytes) -> str:
    """Return a message as text for a person: UTF-8 with no control characters, or else its `repr`."""
    try:
        decoded = bytes(message).decode()
    except UnicodeError:
        return repr(bytes(message))
    for character in decoded:
        if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0:
            return repr(bytes(message))
    return decoded


def shown(payload: bytes) -> str:
    """Return the beginning of a payload in hexadecimal, and how long it is."""
    head = binascii.hexlify(payload[:_SHOWN]).decode()
    return "{}{} ({} bytes)".format(head, "..." if len(payload) > _SHOWN else "", len(payload))
