"""The class `VirtualBoard`, with which a Python program, such as a test, runs a virtual board."""

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

_STOP_TIMEOUT_S = 5.0  # how long the supervisor may take to end before it is killed


class VirtualBoard:
    """A virtual board in a process of its own. Used as a context manager, it is started and stopped by itself."""

    def __init__(  # noqa: PLR0913 (one parameter for each setting)
        self,
        image: Path,
        port: Path | None = None,
        listen: str | None = None,
        wifi: str = DEFAULT_WIFI,
        heap: str = DEFAULT_HEAP,
        frozen: Path | None = None,
        ntp: bool = True,
        chip_image: Path | None = None,
    ) -> None:
        """Describe the board without starting it.

        `image` is the file that holds the flash. It is created if it is missing.
        `port` is the path at which a symbolic link to the serial port is made.
        `listen`, as '127.0.0.1:PORT', serves the serial line over TCP too. Port 0 stands for any free port.
        `wifi` is the 'SSID:PASSWORD' of the virtual access point.
        `heap`, such as '320k', is about the memory that is free when user code starts.
        `frozen` is a folder of modules that the firmware contains. By default it is one with `umqtt.simple`.
        `ntp` says whether time servers answer. Whichever server a board asks on port 123, one on the host answers.
        `chip_image` is a file of `e4 image`. A new `image` begins with the file system in it.
        """
        self._options = BoardOptions(image, port, listen, wifi, heap, frozen, ntp, chip_image)
        # The process of the supervisor, or None while the board is stopped.
        self._process: subprocess.Popen[str] | None = None
        # The path of the serial port. It is empty before `start`.
        self._device = ""
        # The URL of the serial line over TCP, or None if it is not served there.
        self._socket_url: str | None = None

    def start(self) -> None:
        """Power the board on, and return when its serial port is there.

        Raises VirtualBoardError for settings that no board can have, and if the board cannot start.
        """
        if self._process is not None:
            raise VirtualBoardError("the board is started already")
        path = os.pathsep.join(filter(None, [str(TOOLS), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "e4_tools.virtual_board.served"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Otherwise Ctrl-C at the terminal of the caller would end the board as well.
            env={**os.environ, "PYTHONPATH": path},
        )
        try:
            where = self._ask(self._options.to_json())
        except VirtualBoardError:
            self.stop()
            raise
        self._device = str(where.get("device", ""))
        self._socket_url = str(where["socket_url"]) if where.get("socket_url") else None

    @property
    def device(self) -> str:
        """The path of the serial port. It is empty before `start`.

        This is the symbolic link if one was asked for, and otherwise the pseudo-terminal.
        """
        return self._device

    @property
    def socket_url(self) -> str | None:
        """The URL of the serial line over TCP, as pyserial and mpremote take it, or None if it is not served there."""
        return self._socket_url

    def cut_power(self) -> None:
        """Cut the power at this instant. Whatever is not in flash is lost. The serial port stays."""
        self._ask("cut-power")

    def power_on(self) -> None:
        """Restore the power. The board starts from its flash."""
        self._ask("power-on")

    def wifi(self, on: bool) -> None:
        """Switch the virtual access point on or off."""
        self._ask("wifi-on" if on else "wifi-off")

    def name_server(self, on: bool) -> None:
        """Switch the name server on or off. While it is off, resolving a name takes some time and fails."""
        self._ask("names-on" if on else "names-off")

    def stop(self) -> None:
        """End the board and remove its serial port. This does nothing if the board does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()  # This tells the supervisor to end.
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _ask(self, request: str) -> dict[str, object]:
        """Send one request to the supervisor and return its answer. Raises VirtualBoardError if that is an error."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise VirtualBoardError("the board is not started")
        try:
            print(request, file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise VirtualBoardError("the supervisor of the board ended unexpectedly; see its messages on stderr")
        try:
            fields = json.loads(answer)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise VirtualBoardError("the supervisor of the board sent an answer that is not a JSON object")
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
