"""`const`: the compiler of MicroPython puts such a number wherever its name stands, and a private name costs nothing."""

try:
    from micropython import const
except ImportError:  # CPython: a number like any other

    def const(value):
        return value
