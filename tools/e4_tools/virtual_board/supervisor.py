"""The supervisor of one virtual board. It is in charge of power, resets, the watchdog and the serial lines."""

import contextlib
import functools
import os
import select
import sys
import time
import tty
from collections.abc import Callable

from e4_tools.virtual_board.errors import VirtualBoardError
from e4_tools.virtual_board.flash_image import FlashImage
from e4_tools.virtual_board.interpreter import find_micropython
from e4_tools.virtual_board.name_server import NameServer
from e4_tools.virtual_board.options import BoardOptions
from e4_tools.virtual_board.registers import Registers
from e4_tools.virtual_board.serial_port import CHUNK, PtyLine, SerialLine, TcpLine
from e4_tools.virtual_board.time_servers import LocalTimeServers
from e4_tools.virtual_board.umqtt import frozen_modules
from e4_tools.virtual_board.vm_process import ResetCause, VmProcess, VmSettings
from e4_tools.virtual_board.watchdog import WatchdogTimer

_TICK_S = 0.02  # how long one step of the loop waits at most
_INPUT_MAX = 64 * 1024  # bytes of typed input that are held for the board; more stays in the serial line
_START_TIMEOUT_S = 10.0  # how long the first start may take
_CRASHES_MAX = 3  # how many times in succession the interpreter may end before it has started


class Supervisor:
    """Runs a board and owns all its parts.

    While `run` is running, only the functions that were given to `add_reader` may call the other methods.
    `pty` is the serial line as a pseudo-terminal. `tcp` is the serial line over TCP, or None if it is not served there.
    """

    def __init__(self, options: BoardOptions) -> None:
        """Prepare everything and switch the power on. Raises VirtualBoardError if the board cannot start."""
        command = find_micropython()
        with contextlib.ExitStack() as cleanup:
            self._image = FlashImage(options.image, options.chip_image)
            cleanup.callback(self._image.close)
            self._registers = Registers()
            cleanup.callback(self._registers.close)
            # The UART of the board. The interpreter uses the terminal, and the supervisor its other end, the console.
            self._console, self._terminal = os.openpty()
            cleanup.callback(os.close, self._console)
            cleanup.callback(os.close, self._terminal)
            tty.setraw(self._terminal)
            os.set_blocking(self._console, False)
            self.pty = PtyLine(options.port)
            cleanup.callback(self.pty.close)
            self.tcp = TcpLine(options.listen_address) if options.listen_address else None
            if self.tcp:
                cleanup.callback(self.tcp.close)
            self._lines: list[SerialLine] = [self.pty, *([self.tcp] if self.tcp else [])]
            time_servers = LocalTimeServers(options.ntp)
            cleanup.callback(time_servers.close)
            self._name_server = NameServer()
            cleanup.callback(self._name_server.close)
            self._settings = _settings(options, command, self._image, time_servers.ports, self._name_server.port)
            self._watchdog = WatchdogTimer(self._registers)
            # The interpreter, or None while the board has no power or is in deep sleep.
            self._vm: VmProcess | None = None
            cleanup.callback(self.cut_power)
            # True from the start of the interpreter until it says that it is up.
            self._booting = False
            # The instant (of time.monotonic) at which a deep sleep ends, or None while there is no deep sleep.
            self._wake_at: float | None = None
            # The typed bytes that the interpreter has not taken yet.
            self._held = b""
            # The number of times that the interpreter has ended by itself since it was last up.
            self._crashes = 0
            # The last output of the interpreter during a start, for the error message if the first start fails.
            self._said = b""
            # The function to call when a descriptor can be read.
            self._readers: dict[int, Callable[[], None]] = {}
            for server in time_servers.sockets():
                self.add_reader(server.fileno(), functools.partial(time_servers.serve, server))
            self.add_reader(self._name_server.socket.fileno(), self._name_server.serve)
            # False once `run` is to return.
            self._running = True
            self.power_on()
            self._wait_for_start()
            self._cleanup = cleanup.pop_all()

    @property
    def settings(self) -> VmSettings:
        """The settings with which the interpreter is started."""
        return self._settings

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        """Have the loop call `callback` whenever the descriptor `fd` can be read."""
        self._readers[fd] = callback

    def stop(self) -> None:
        """Make `run` return."""
        self._running = False

    def run(self) -> None:
        """Serve the board until `stop` is called. Raises VirtualBoardError if the interpreter ends at every start."""
        while self._running:
            self._step()

    def close(self) -> None:
        """End the interpreter, close the serial lines, and unlock the flash image."""
        self._cleanup.close()

    def power_on(self) -> None:
        """Switch the power on. This does nothing if the power is on."""
        if self._vm is None and self._wake_at is None:
            self._registers.power_up()
            self._boot(ResetCause.POWER_ON)

    def cut_power(self) -> None:
        """Switch the power off at this instant. The serial port stays."""
        self._end_vm()
        self._wake_at = None

    def set_access_point(self, on: bool) -> None:
        """Switch the virtual WiFi access point on or off."""
        self._registers.set_access_point(on)

    def set_name_server(self, on: bool) -> None:
        """Switch the name server on or off. While it is off, it keeps silent."""
        self._name_server.answering = on
        self._registers.set_name_server(on)

    def _boot(self, cause: ResetCause, raw: bool = False) -> None:
        """Start an interpreter, in the raw REPL if `raw`. A running watchdog survives a soft reset only."""
        self._registers.note_no_user_code()
        if cause is not ResetCause.SOFT:
            self._registers.stop_watchdog()
        self._booting = True
        self._vm = VmProcess(self._settings, self._registers, self._terminal, cause, raw)

    def _end_vm(self) -> int:
        """End the interpreter, pass on its last output, and return its exit status, or 0 if there is no interpreter."""
        if self._vm is None:
            return 0
        status = self._vm.kill()
        self._vm = None
        self._booting = False
        self._read_console()
        return status

    def _wait_for_start(self) -> None:
        """Serve the board until it has started. Raises VirtualBoardError, with what was printed, if it fails."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self._booting:
            self._step()
            if self._crashes or time.monotonic() > deadline:
                said = self._said.decode(errors="replace").strip()
                raise VirtualBoardError(f"the MicroPython interpreter does not start: {said or 'it says nothing'}")

    def _step(self) -> None:
        """Wait until something happens, for one tick at most, and deal with it.

        While an interrupt waits for a system call of the interpreter, the tick is 1 ms. While a listener has not taken
        all output, the console is not read, so that the board waits as it would on a slow serial line.
        """
        attached = [line for line in self._lines if line.attached]
        poller = select.poll()
        for fd in self._readers:
            poller.register(fd, select.POLLIN)
        if self._vm is not None:
            poller.register(self._vm.requests, select.POLLIN)
        room = len(self._held) < _INPUT_MAX
        for line in attached:
            events = room * select.POLLIN | line.pending * select.POLLOUT
            if events:
                poller.register(line.fileno(), events)
        if not any(line.pending for line in attached):
            poller.register(self._console, select.POLLIN)
        pending = self._vm is not None and self._vm.interrupt_pending
        ready = {fd for fd, _ in poller.poll(1 if pending else _TICK_S * 1000)}

        if self._console in ready:
            self._read_console()
        for line in self._lines:
            if line.pending:
                line.flush()
            if room:
                self._take_input(line.read())
        self._feed_input()
        if self._vm is not None and self._vm.requests in ready:
            self._read_request()
        for fd in ready & self._readers.keys():
            self._readers[fd]()
        self._keep_time()

    def _read_console(self) -> None:
        """Pass on what the board prints. Output is lost while there is no listener."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._console, CHUNK)
            if self._booting:
                self._said = (self._said + data)[-CHUNK:]
            for line in self._lines:
                if line.attached:
                    line.write(data)

    def _take_input(self, data: bytes) -> None:
        """Accept typed bytes. The interrupt byte takes effect at once; all others wait until the board reads them."""
        if self._vm is None:
            return
        char = None if self._booting else self._registers.interrupt_char
        if char is not None and char in data:
            self._vm.interrupt()
            data = data.replace(bytes([char]), b"")
        self._held += data

    def _feed_input(self) -> None:
        """Give the interpreter the held bytes that it takes. It gets none during a start or before an interrupt."""
        if self._held and self._vm is not None and not self._booting and not self._vm.interrupt_pending:
            with contextlib.suppress(BlockingIOError):
                self._held = self._held[os.write(self._console, self._held) :]

    def _note_start(self) -> None:
        """Note that the interpreter is up. The bytes that were typed during the start may interrupt it from now on."""
        self._booting = False
        self._crashes = 0
        held, self._held = self._held, b""
        self._take_input(held)

    def _read_request(self) -> None:
        """Do what the interpreter asks for. If its pipe ends without a request, the interpreter has crashed."""
        if self._vm is None:
            return
        for request in os.read(self._vm.requests, CHUNK).decode().splitlines() or ["crash"]:
            match request.split():
                case ["up"]:
                    self._note_start()
                case ["soft", mode]:
                    self._end_vm()
                    self._boot(ResetCause.SOFT, raw=mode == "raw")
                case ["hard"]:
                    self._end_vm()
                    self._boot(ResetCause.HARD)
                case ["sleep", milliseconds]:
                    self._end_vm()
                    self._wake_at = time.monotonic() + (int(milliseconds) / 1000 or float("inf"))
                case _:
                    self._restart_after_crash()

    def _restart_after_crash(self) -> None:
        """Reset the board after its interpreter has ended. Raises VirtualBoardError if that happens at every start."""
        status = self._end_vm()
        self._crashes += 1
        _log(f"the interpreter ended unexpectedly (status {status}); resetting the board")
        if self._crashes > _CRASHES_MAX:
            raise VirtualBoardError("the MicroPython interpreter keeps ending during start")
        self._boot(ResetCause.WATCHDOG)

    def _keep_time(self) -> None:
        """Do what is due: wake the board from deep sleep, reset it by the watchdog, or send a postponed interrupt."""
        if self._wake_at is not None and time.monotonic() >= self._wake_at:
            self._wake_at = None
            self._boot(ResetCause.DEEP_SLEEP)
        if self._vm is None:
            return
        if self._watchdog.has_expired():
            _log("the watchdog was not fed; resetting the board")
            self._end_vm()
            self._boot(ResetCause.WATCHDOG)
        else:
            self._vm.send_postponed_interrupt()


def _settings(
    options: BoardOptions, command: list[str], image: FlashImage, time_ports: list[int], name_port: int
) -> VmSettings:
    """Return the settings with which the interpreter is started."""
    ssid, password = options.wifi_network
    return VmSettings(
        command=command,
        heap=options.heap_bytes,
        frozen=options.frozen or frozen_modules(),
        flash_fd=image.fd,
        blocks=image.blocks,
        store=image.store,
        unique_id=image.unique_id,
        ssid=ssid,
        password=password,
        ntp=options.ntp,
        time_ports=time_ports,
        name_port=name_port,
    )


def _log(message: str) -> None:
    """Print a message of the supervisor on standard error."""
    print(f"virtual board: {message}", file=sys.stderr, flush=True)
