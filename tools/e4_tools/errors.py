"""What goes wrong on the host side, said so that a user knows what to do next."""


class ToolError(Exception):
    """A step failed. The text says what, what state things are in, and what to do. It never holds a secret."""
