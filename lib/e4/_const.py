"""`const`: MicroPython's compiler puts such a number wherever its name stands; a private name then costs nothing."""

try:
    from micropython import const
except ImportError:  # CPython: a number like any other

    def const(value):  # type: ignore[misc]
        return value
