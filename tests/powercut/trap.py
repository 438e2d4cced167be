"""A trap among the file operations of the library: it counts them, and raises at one."""

import builtins
import os
import sys

BEFORE, AFTER = range(2)  # the operation that the exception comes before or after


class Trap:
    """Stands in for `os` and `open` in the library, and raises at the operation that it was set to."""

    def __init__(self):
        self.calls = 0
        self.is_sprung = True
        self._at = 0
        self._when = BEFORE
        self._error = None

    def lay(self):
        """Stand in for `os` and `open` in those modules of the library that use files."""
        self._modules = [m for name, m in sys.modules.items() if name.startswith("e4.") and hasattr(m, "os")]
        for module in self._modules:
            module.os = _Trapped(os, self)
            module.open = self._open

    def remove(self):
        """Give them back."""
        for module in self._modules:
            module.os = os
            del module.open

    def set(self, at, when, error):
        """Raise `error` before or after operation `at`, counted from now on; 0: only count."""
        self.calls = 0
        self._at = at
        self._when = when
        self._error = error
        self.is_sprung = at == 0

    def call(self, function, *arguments):
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
        """Open a file through the trap; what raises has left nothing open, as in the interpreter."""
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
        if name == "urandom" or not callable(value):  # no operation on files
            return value
        return lambda *arguments: self._trap.call(value, *arguments)


class _TrappedFile(_Trapped):
    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._inner.close()  # the language closes it, whatever happens
        self._trap.call(lambda: None)
