"""The serial line of a virtual board, as other programs see it: a pseudo-terminal, and a TCP port if one is wanted."""

import contextlib
import errno
import os
import select
import socket
import tempfile
import tty
from pathlib import Path
from typing import Protocol

from e4_tools.virtual_board.errors import VirtualBoardError

CHUNK = 4096  # bytes that are read at once


class SerialLine(Protocol):
    """One way in which another program, the listener, reaches the UART of the board."""

    @property
    def attached(self) -> bool:
        """True while there is a listener. Output that is written in this time is kept until the listener takes it."""

    @property
    def pending(self) -> bool:
        """True while output waits for the listener."""

    def fileno(self) -> int:
        """Return the descriptor to wait on. It has a meaning only while a listener is attached."""

    def read(self) -> bytes:
        """Return the bytes that the listener has typed, or no bytes if there are none."""

    def write(self, data: bytes) -> None:
        """Send what the board prints. What the listener does not take now is kept for `flush`."""

    def flush(self) -> None:
        """Send as much of the pending output as the listener takes."""

    def close(self) -> None:
        """Close the line."""


class _Outgoing:
    """Output that the listener has not taken yet."""

    def __init__(self) -> None:
        self._data = b""

    @property
    def pending(self) -> bool:
        """True while output waits for the listener."""
        return bool(self._data)

    def send(self, fd: int, data: bytes) -> None:
        """Write the data that waits and then `data`, as much as the descriptor takes. The rest is kept."""
        self._data += data
        with contextlib.suppress(BlockingIOError):
            self._data = self._data[os.write(fd, self._data) :]

    def drop(self) -> None:
        """Forget the output that waits."""
        self._data = b""


class PtyLine:
    """A pseudo-terminal in raw mode. `device` is its path. If `link` is given, a symbolic link to it is made there."""

    def __init__(self, link: Path | None = None) -> None:
        """Make the pseudo-terminal and the link.

        Raises VirtualBoardError if the link cannot be made, if it is in use, or if there is another file of its name.
        """
        self._master, slave = os.openpty()
        self.device = os.ttyname(slave)
        tty.setraw(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        self._outgoing = _Outgoing()
        self._link = link
        if link is not None:
            try:
                _make_link(link, self.device)
            except (OSError, VirtualBoardError):
                os.close(self._master)
                raise

    @property
    def attached(self) -> bool:
        """True while some process has the serial port open. If none has, the output that waits is dropped."""
        poller = select.poll()
        poller.register(self._master, 0)
        attached = not poller.poll(0)
        if not attached:
            self._outgoing.drop()
        return attached

    @property
    def pending(self) -> bool:
        return self._outgoing.pending

    def fileno(self) -> int:
        return self._master

    def read(self) -> bytes:
        """Return the bytes that were typed. They may come from a process that has closed the port since then."""
        try:
            return os.read(self._master, CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return b""

    def write(self, data: bytes) -> None:
        self._outgoing.send(self._master, data)

    def flush(self) -> None:
        self.write(b"")

    def close(self) -> None:
        os.close(self._master)
        if self._link is not None and self._link.is_symlink() and os.readlink(self._link) == self.device:
            self._link.unlink()


def _make_link(link: Path, target: str) -> None:
    """Make or replace a symbolic link in one step, so that no other program ever finds it missing.

    Raises VirtualBoardError if the link cannot be made, if it is in use, or if there is another file of its name.
    """
    if link.exists() and not link.is_symlink():
        raise VirtualBoardError(f"port {link}: there is a file of that name already")
    if link.exists():
        raise VirtualBoardError(f"port {link}: in use by a running board; if that was killed, remove the link")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=link.parent, prefix=".port-") as folder:
            fresh = Path(folder) / "link"
            fresh.symlink_to(target)
            fresh.replace(link)
    except OSError as error:
        raise VirtualBoardError(f"port {link}: {error.strerror}") from error


class TcpLine:
    """The serial line over TCP, for one client at a time.

    pyserial and mpremote open it by `url`, which is `socket://HOST:PORT`.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        """Listen on `address`, a host and a port. Raises VirtualBoardError if that is impossible."""
        try:
            self._server = socket.create_server(address)
        except OSError as error:
            raise VirtualBoardError(f"cannot listen on {address[0]}:{address[1]}: {error.strerror}") from error
        self._server.setblocking(False)
        self._client: socket.socket | None = None
        self._outgoing = _Outgoing()
        host, port = self._server.getsockname()
        self.url = f"socket://{host}:{port}"

    @property
    def attached(self) -> bool:
        """True while a client is connected. If none is, a client that waits is accepted first."""
        if self._client is None:
            with contextlib.suppress(BlockingIOError):
                self._client, _ = self._server.accept()
                self._client.setblocking(False)
                self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._client is not None

    @property
    def pending(self) -> bool:
        return self._outgoing.pending

    def fileno(self) -> int:
        return self._client.fileno() if self._client else self._server.fileno()

    def read(self) -> bytes:
        if self._client is None:
            return b""
        try:
            data = self._client.recv(CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._hang_up()
        return data

    def write(self, data: bytes) -> None:
        if self._client is None:
            return
        try:
            self._outgoing.send(self._client.fileno(), data)
        except OSError:
            self._hang_up()

    def flush(self) -> None:
        self.write(b"")

    def close(self) -> None:
        self._hang_up()
        self._server.close()

    def _hang_up(self) -> None:
        """End the connection to the client, if there is one, and drop the output that waits for it."""
        self._outgoing.drop()
        if self._client is not None:
            self._client.close()
            self._client = None
