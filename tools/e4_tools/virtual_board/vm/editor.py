"""The friendly REPL. It has a line editor with history and automatic indentation, blocks, and a paste mode."""

import sys

from host import MACHINE, read_byte
from micropython import const

_CTRL_A = const(1)
_CTRL_B = const(2)
_CTRL_C = const(3)
_CTRL_D = const(4)
_CTRL_E = const(5)
_BACKSPACE = const(8)
_TAB = const(9)
_ENTER = const(13)
_ESCAPE = const(27)
_DELETE = const(127)
_SPACE = const(32)
_INDENT = "    "
_HISTORY = const(8)  # lines
_COMPOUND = ("if", "while", "for", "try", "with", "def", "class", "async")


class _ControlError(Exception):
    """A control character has ended the line. The only argument is the code of the character."""


class _Line:
    """One line while it is typed. `text` is what was typed so far."""

    def __init__(self, prompt, history, indent=""):
        """Show the prompt and the indentation with which the line begins. `history` is a list of earlier lines."""
        self._history = history
        # The index in the history of the line that is shown, or the length of the history for a new line.
        self._recalled = len(history)
        self.text = indent
        # The place of the cursor, as an index into the text.
        self._cursor = len(indent)
        sys.stdout.write(prompt + indent)

    def read(self):
        """Edit the line until Enter, and return its text.

        Raises _ControlError for Ctrl-C, and for Ctrl-A, Ctrl-B, Ctrl-D and Ctrl-E on an empty line.
        """
        while (char := read_byte()) != _ENTER:
            if char == _CTRL_C or (_CTRL_A <= char <= _CTRL_E and not self.text):
                raise _ControlError(char)
            if char in (_BACKSPACE, _DELETE):
                self._erase_back()
            elif char == _TAB:
                self._insert(_INDENT)
            elif char == _ESCAPE:
                self._escape_sequence()
            elif char == _CTRL_A:
                self._move(0)
            elif char == _CTRL_E:
                self._move(len(self.text))
            elif char == _CTRL_D:
                self._replace(self._cursor, self._cursor + 1, "")
            elif char >= _SPACE:
                self._insert(_read_character(char))
        print()
        return self.text

    def _insert(self, text):
        """Insert `text` at the cursor."""
        self._replace(self._cursor, self._cursor, text)

    def _erase_back(self):
        """Erase the character before the cursor, or a whole step of indentation at the beginning of the line."""
        before = self.text[: self._cursor]
        count = len(_INDENT) if before.startswith(_INDENT) and not before.strip(" ") else 1
        if before:
            self._replace(self._cursor - count, self._cursor, "")

    def _replace(self, start, stop, text):
        """Replace the part of the line from `start` to `stop` by `text`, show it, and put the cursor behind it."""
        tail = self.text[stop:]
        self._move(start)
        self.text = self.text[:start] + text + tail
        sys.stdout.write(text + tail)
        if stop > start:
            sys.stdout.write("\x1b[K")
        self._cursor = len(self.text)
        self._move(start + len(text))

    def _move(self, to):
        """Move the cursor to the index `to`, on the screen as well."""
        if to < self._cursor:
            sys.stdout.write("\b" * (self._cursor - to))
        elif to > self._cursor:
            sys.stdout.write(f"\x1b[{to - self._cursor}C")
        self._cursor = to

    def _escape_sequence(self):
        """Read the rest of an escape sequence and do what its key means: arrows, Home, End and Delete."""
        if read_byte() not in b"[O":
            return
        key = read_byte()
        if key in b"1347":
            read_byte()  # These sequences end with a tilde.
        if key in b"AB":
            self._recall(self._recalled + (-1 if key == ord("A") else 1))
        elif key == ord("C") and self._cursor < len(self.text):
            self._move(self._cursor + 1)
        elif key == ord("D") and self._cursor:
            self._move(self._cursor - 1)
        elif key in b"H17":
            self._move(0)
        elif key in b"F4":
            self._move(len(self.text))
        elif key == ord("3"):
            self._replace(self._cursor, self._cursor + 1, "")

    def _recall(self, index):
        """Show a line of the history, or an empty line if the index is that after the last one."""
        if 0 <= index <= len(self._history):
            self._recalled = index
            self._replace(0, len(self.text), self._history[index] if index < len(self._history) else "")


def _read_character(first):
    """Read the rest of the character whose first UTF-8 byte is `first`. Return it, or '?' if it is not UTF-8."""
    data = bytearray((first,))
    for threshold in (0xC0, 0xE0, 0xF0):
        if first >= threshold:
            data.append(read_byte())
    try:
        return str(data, "utf-8")
    except UnicodeError:
        return "?"


def read_input(prompt=""):
    """Read a line and return it, as the built-in function `input` does.

    Raises EOFError for Ctrl-D on an empty line, and KeyboardInterrupt for Ctrl-C.
    """
    try:
        return _Line(prompt, []).read()
    except _ControlError as control:
        raise (EOFError if control.args[0] == _CTRL_D else KeyboardInterrupt) from None


def friendly_repl(repl):
    """Serve the friendly REPL until Ctrl-A. Code runs through `repl`, and so does the soft reset by Ctrl-D."""
    history = []
    _print_banner()
    while True:
        try:
            source = _read_block(history)
            if source:
                repl.run_source([source], "single")
        except _ControlError as control:
            print()
            char = control.args[0]
            if char == _CTRL_A:
                return
            if char == _CTRL_B:
                _print_banner()
            elif char == _CTRL_D:
                repl.soft_reset()
            elif char == _CTRL_E:
                source = _read_paste()
                if source is not None:
                    repl.run_source([source], "exec")


def _print_banner():
    """Print the lines with which the friendly REPL greets, as on a board."""
    major, minor, micro, stage = sys.implementation.version
    version = f"v{major}.{minor}.{micro}" + ("-" + stage if stage else "")
    date = sys.version.split(" on ")[-1]
    print(f"MicroPython {version} on {date}; {MACHINE}")
    print('Type "help()" for more information.')


def _read_block(history):
    """Read one statement, which may take several lines, and return it. Raises _ControlError like `_Line.read`."""
    source = _Line(">>> ", history).read()
    _remember(history, source)
    while _is_unfinished(source):
        try:
            line = _Line("... ", history, _indent_after(source)).read()
        except _ControlError as control:
            if control.args[0] == _CTRL_D:
                print()
                break
            if control.args[0] == _CTRL_C:
                raise
            continue
        _remember(history, line)
        source += "\n" + line
    return source


def _remember(history, line):
    """Add a line to the history, unless it is blank or the same as the last one."""
    if line.strip() and (not history or history[-1] != line):
        history.append(line)
        del history[:-_HISTORY]


def _indent_after(source):
    """Return the indentation with which the next line begins. After two blank lines there is none."""
    lines = source.split("\n")
    last = lines[-1]
    if lines[2:] and not last.strip(" ") and not lines[-2].strip(" "):
        return ""
    depth = (len(last) - len(last.lstrip(" "))) // len(_INDENT)
    return _INDENT * (depth + (1 if last.endswith(":") else 0))


def _is_unfinished(source):
    """Tell whether another line must follow, because of an open bracket, string or block, or a backslash at the end."""
    quote = ""
    depth = 0
    i = 0
    while i < len(source):
        char = source[i]
        if char == "\\":
            i += 1
        elif quote:
            if source.startswith(quote, i):
                i += len(quote) - 1
                quote = ""
        elif char in "'\"":
            quote = char * 3 if source.startswith(char * 3, i) else char
            i += len(quote) - 1
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        i += 1
    if quote[1:] or (depth > 0 and not quote) or source.endswith("\\"):
        return True
    return _starts_block(source) and not source.endswith("\n")


def _starts_block(source):
    """Tell whether the statement is a compound one, or begins with a decorator."""
    if source.startswith("@"):
        return True
    for word in _COMPOUND:
        if source.startswith(word) and not (source[len(word) :][:1] + "_").replace("_", "").isalpha():
            return True
    return False


def _read_paste():
    """Read source in paste mode until Ctrl-D, and return it as bytes. Return None if Ctrl-C has cancelled it."""
    sys.stdout.write("paste mode; Ctrl-C to cancel, Ctrl-D to finish\n=== ")
    source = bytearray()
    while (char := read_byte()) != _CTRL_D:
        if char == _CTRL_C:
            print()
            return None
        source.append(char if char != _ENTER else ord("\n"))
        if char == _ENTER:
            sys.stdout.write("\n=== ")
        else:
            sys.stdout.buffer.write(source[-1:])
    print()
    return bytes(source)
