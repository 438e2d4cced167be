"""The exception that the host side of the virtual board raises."""


class VirtualBoardError(Exception):
    """A virtual board cannot start or go on. The message says why and, where that is known, what to do."""
