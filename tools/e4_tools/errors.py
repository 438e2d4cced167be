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


class NoSuchPort(PortError):
    """There is no serial port of this name."""


class PortInUse(PortError):
    """Another program has the serial port."""


class NoMicroPython(PortError):
    """The port can be opened, and no MicroPython answers there."""


class KeyStoreError(ToolError):
    """The key store cannot be opened, is locked, damaged, or of another version, or its secret is wrong."""

    exit_code = 5


class UnknownName(ToolError):
    """The key store has no client or topic of this name."""

    exit_code = 6


class NameTaken(ToolError):
    """The key store, or a file, of this name is there already."""

    exit_code = 6
