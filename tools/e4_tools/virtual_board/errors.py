"""The one exception of the virtual board's host side."""


class VirtualBoardError(Exception):
    """A virtual board cannot start or go on; the message says why and, where it can, what to do."""
