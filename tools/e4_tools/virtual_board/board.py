"""`VirtualBoard`: a virtual board run by a Python program, for instance by a test."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from e4_tools.paths import TOOLS
from e4_tools.virtual_board.errors import VirtualBoardError
from e4_tools.virtual_board.options import DEFAULT_HEAP, DEFAULT_WIFI, BoardOptions

_STOP_TIMEOUT_S = 5.0


class VirtualBoard:
    """A board in a process of its own; as a context manager, it starts and stops itself."""

    def __init__(  # noqa: PLR0913 (one parameter for each setting)
        self,
        image: Path,
        port: Path | None = None,
        listen: str | None = None,
        wifi: str = DEFAULT_WIFI,
        heap: str = DEFAULT_HEAP,
        frozen: Path | None = None,
        ntp: bool = True,
    ) -> None:
        """Describe the board.

        image: the file that is its flash, created if missing.
        port: where to make a symbolic link to the serial port.
        listen: '127.0.0.1:PORT' to serve the serial line over TCP too; port 0 for any free one.
        wifi: 'SSID:PASSWORD' of the virtual access point.
        heap: memory that is about free when user code starts, such as '320k'.
        frozen: a directory of modules that are in the firmware; by default the project's build/frozen.
        ntp: whether time servers answer; whichever a board asks on port 123, one on the host does.
        Raises VirtualBoardError for impossible values.
        """
        self._options = BoardOptions(image, port, listen, wifi, heap, frozen, ntp)
        self._process: subprocess.Popen[str] | None = None
        self._device = ""
        self._socket_url: str | None = None

    def start(self) -> None:
        """Power the board on; return when its serial port is there. VirtualBoardError if it cannot start."""
        if self._process is not None:
            raise VirtualBoardError("the board is started already")
        path = os.pathsep.join(filter(None, [str(TOOLS), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "e4_tools.virtual_board.served"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C at the caller's terminal is for the caller
            env={**os.environ, "PYTHONPATH": path},
        )
        try:
            where = self._ask(self._options.to_json())
        except VirtualBoardError:
            self.stop()
            raise
        self._device = str(where["device"])
        self._socket_url = str(where["socket_url"]) if where["socket_url"] else None

    @property
    def device(self) -> str:
        """The serial port: the link if one was asked for, else the pseudo-terminal. Empty before `start`."""
        return self._device

    @property
    def socket_url(self) -> str | None:
        """Where the serial line is served over TCP, as pyserial and mpremote take it."""
        return self._socket_url

    def cut_power(self) -> None:
        """Cut the power at this instant: what was not written to flash is lost. The serial port stays."""
        self._ask("cut-power")

    def power_on(self) -> None:
        """Restore the power; the board starts from its flash."""
        self._ask("power-on")

    def wifi(self, on: bool) -> None:
        """Switch the virtual access point on or off."""
        self._ask("wifi-on" if on else "wifi-off")

    def name_server(self, on: bool) -> None:
        """Have the name server answer, or not: then resolving a name takes its time and fails."""
        self._ask("names-on" if on else "names-off")

    def stop(self) -> None:
        """End the board and remove its serial port; no effect if it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()  # the supervisor's sign to end
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _ask(self, request: str) -> dict[str, object]:
        """Send one request to the supervisor; return its answer, or raise it if it is an error."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise VirtualBoardError("the board is not started")
        try:
            print(request, file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise VirtualBoardError("the supervisor of the board ended unexpectedly; see its messages on stderr")
        fields: dict[str, object] = json.loads(answer)
        if "error" in fields:
            raise VirtualBoardError(str(fields["error"]))
        return fields

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
