"""The errors of the tools on the host. Each says in its text what a user should do next.

    ToolError                   A step failed.
        BrokerError             The broker cannot be reached, refuses us, or did not confirm.
        PortError               No board answers at the port, the port is taken, or the line failed.
            NoSuchPort          There is no serial port of this name.
            PortInUse           Another program has the serial port.
            NoMicroPython       The port can be opened, and no MicroPython answers there.
            BoardError          Code on the board raised an exception (`board.raw_repl`).
            GarbledResult       A board answered something else than was expected (`board.raw_repl`).
        ConsoleError            A board did not print in time what was expected of it (`board.console`).
        SeveralBoards           Several boards are there, and the user named none (`board.ports`).
        KeyStoreError           The key store cannot be opened or used, or its secret is wrong.
        UnknownName             The key store has no client or topic of this name.
        NameTaken               The key store, or a file, of this name is there already.
        DemoError               A step of the demonstration did not take place (`dev.demo`).

The errors that name a module in brackets are defined there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from e4_tools.printable import printable


class ToolError(Exception):
    """A step failed. The text says what, what state things are in, and what to do. It never holds a secret.

    The text may name what a board or a broker has sent, so it is made safe to print.
    """

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__(), keep="\n")


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
    """The key store cannot be opened, is in use, damaged, or of another version, or its secret is wrong."""

    exit_code = 5


class UnknownName(ToolError):
    """The key store has no client or topic of this name."""

    exit_code = 6


class NameTaken(ToolError):
    """The key store, or a file, of this name is there already."""

    exit_code = 6


@contextmanager
def cleaning_up(clean_up: Callable[[], None], left: str) -> Iterator[None]:
    """Call `clean_up` when the block has ended, also if it has raised.

    The error of the block is the one that a user needs, and what is wrong with a board or a broker makes cleaning up
    fail too. So an error of `clean_up` then becomes a note of the first one, which says what is `left`.
    """
    try:
        yield
    except BaseException as error:
        clean_up_after(error, clean_up, left)
        raise
    clean_up()


def clean_up_after(error: BaseException, clean_up: Callable[[], None], left: str) -> None:
    """Call `clean_up` because of an error, which is to be raised afterwards. See `cleaning_up`."""
    try:
        clean_up()
    except Exception as second:  # The caller raises the first error, so none is lost here.
        error.add_note(f"{left}: {printable(str(second))}")


def with_notes(error: BaseException) -> str:
    """Return the text of an error with its notes, safe to print."""
    return printable(" ".join([str(error), *getattr(error, "__notes__", ())]), keep="\n")
