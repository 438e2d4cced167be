"""Counts the file operations of the library, and raises an exception at one of them."""

import builtins
import os
import sys

# Whether the exception is raised before the operation takes place or after it.
BEFORE, AFTER = range(2)


class Trap:
    """Replaces `os` and `open` in the library, and raises at the operation for which it was set.

    `calls` counts the operations since it was set. `is_sprung` is true once it has raised, and also if it was set to
    raise nowhere.
    """

    def __init__(self):
        self.calls = 0
        self.is_sprung = True
        self._at = 0
        self._when = BEFORE
        self._error = None

    def lay(self):
        """Replace `os` and `open` in those modules of the library that use files."""
        self._modules = [m for name, m in sys.modules.items() if name.startswith("e4.") and hasattr(m, "os")]
        for module in self._modules:
            module.os = _Trapped(os, self)
            module.open = self._open

    def remove(self):
        """Give the modules of the library the real `os` and `open` back."""
        for module in self._modules:
            module.os = os
            del module.open

    def set(self, at, when, error):
        """Raise `error` at operation number `at`, counted from 1 from now on; 0 means to count only.

        `when` is BEFORE or AFTER.
        """
        self.calls = 0
        self._at = at
        self._when = when
        self._error = error
        self.is_sprung = at == 0

    def call(self, function, *arguments):
        """Call a function that is one file operation, and raise the error if it is this operation's turn."""
        self.calls += 1
        here = self.calls == self._at
        if here and self._when == BEFORE:
            self._spring()
        try:
            return function(*arguments)
        finally:
            if here and self._when == AFTER:
                self._spring()

    def _open(self, *arguments):
        """Open a file through the trap.

        If the trap raises after the file was opened, the file is closed again. The real `open` also leaves no file
        open when it raises.
        """
        opened = []
        try:
            self.call(lambda: opened.append(builtins.open(*arguments)))  # noqa: SIM115
        except BaseException:
            for file in opened:
                file.close()
            raise
        return _TrappedFile(opened[0], self)

    def _spring(self):
        self.is_sprung = True
        raise self._error


class _Trapped:
    """An object whose methods go through the trap."""

    def __init__(self, inner, trap):
        self._inner = inner
        self._trap = trap

    def __getattr__(self, name):
        value = getattr(self._inner, name)
        # Random numbers are no operation on files, and so they are not counted.
        if name == "urandom" or not callable(value):
            return value
        return lambda *arguments: self._trap.call(value, *arguments)


class _TrappedFile(_Trapped):
    def __enter__(self):
        return self

    def __exit__(self, *_error):
        # A `with` closes its file at the end, whatever happens. The call below lets the trap count that and raise.
        self._inner.close()
        self._trap.call(lambda: None)
