"""The serial console: lines typed by a person, and what is safe to print to one."""

import sys

_SHOWN = 48  # bytes of a payload that are shown
_MAX_LINE = 512  # bytes of a line that are kept


class Console:
    """Collects typed lines, with echo and backspace. Poll `stream` and call `read_line` when it is readable."""

    def __init__(self) -> None:
        self.stream = sys.stdin
        self._bytes = sys.stdin.buffer if hasattr(sys.stdin, "buffer") else sys.stdin
        self._line = bytearray()
        self._after_return = False
        self.at_end = False

    def read_line(self) -> str | None:
        """Take one typed byte; return the line that it ends, or None."""
        typed = self._bytes.read(1)
        if not typed:
            self.at_end = True
            return None
        return self.take(typed[0])  # type: ignore[arg-type]  # bytes, as the stream is binary

    def take(self, byte: int) -> str | None:
        """Take one byte as typed; return the line that it ends, or None."""
        ended_by_return, self._after_return = self._after_return, byte == 0x0D
        if byte in (0x0D, 0x0A):
            if byte == 0x0A and ended_by_return:  # the second half of CR LF
                return None
            sys.stdout.write("\n")
            line, self._line = bytes(self._line), bytearray()
            return text(line)
        if byte in (0x08, 0x7F):
            self._erase()
        elif byte >= 0x20 and len(self._line) < _MAX_LINE:
            self._line.append(byte)
            if byte < 0x80:
                sys.stdout.write(chr(byte))
            elif _complete(self._line):
                sys.stdout.write(_last_character(self._line))
        return None

    def _erase(self) -> None:
        if self._line:
            while self._line[-1] & 0xC0 == 0x80 and len(self._line) > 1:  # the tail of a longer character
                self._line = self._line[:-1]
            self._line = self._line[:-1]
            sys.stdout.write("\b \b")


def _character_start(line: bytearray) -> int:
    at = len(line) - 1
    while at > 0 and line[at] & 0xC0 == 0x80:
        at -= 1
    return at


def _complete(line: bytearray) -> bool:
    """Tell whether the line ends with a whole UTF-8 character."""
    start = _character_start(line)
    first = line[start]
    size = 2 if first & 0xE0 == 0xC0 else 3 if first & 0xF0 == 0xE0 else 4 if first & 0xF8 == 0xF0 else 1
    return len(line) - start == size and size > 1


def _last_character(line: bytearray) -> str:
    return text(bytes(line[_character_start(line) :]))


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
    head = "".join("{:02x}".format(byte) for byte in payload[:_SHOWN])
    return "{}{} ({} bytes)".format(head, "..." if len(payload) > _SHOWN else "", len(payload))
