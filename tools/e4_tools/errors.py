"""What goes wrong on the host side, said so that a user knows what to do next."""


class ToolError(Exception):
    """A step failed. The text says what, what state things are in, and what to do. It never holds a secret."""

    exit_code = 1


class BrokerError(ToolError):
    """The broker cannot be reached, refuses us, or did not confirm."""

    exit_code = 3


class PortError(ToolError):
    """No board answers at the port, the port is taken, or the line failed."""

    exit_code = 4
