"""`const`, for both interpreters.

MicroPython's compiler replaces the name of a constant by its value. If the name begins with an underscore, no variable
is made at all, which saves room on a board.
"""

try:
    from micropython import const
except ImportError:  # CPython, where a constant is an ordinary variable

    def const(value):  # type: ignore[misc]
        return value
