"""The process of the interpreter. One process runs from one reset of the board to the next."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import termios
import time
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from e4_tools.virtual_board.registers import Registers

_VM_DIR = Path(__file__).with_name("vm")
# Bytes of heap that the virtual board's own code takes, and bytes that a frozen module takes for each byte of its
# source. Both were measured.
_RUNTIME_HEAP = 59 * 1024
_FROZEN_HEAP_FACTOR = 2
# The interpreter exits if a second SIGINT arrives before it has handled the first one. So they are sent this far apart.
_INTERRUPT_SPACING_S = 1.0
# Seconds of its own processor time for which an interrupt waits until the interpreter makes a system call. After that
# the interpreter is interrupted wherever it is, because it may be in an endless loop.
_PATIENCE_S = 0.5
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ResetCause(IntEnum):
    """The causes of a reset, with the values that `machine.reset_cause()` returns on an ESP32."""

    POWER_ON = 1
    HARD = 2
    WATCHDOG = 3
    DEEP_SLEEP = 4
    SOFT = 5


@dataclass(frozen=True)
class VmSettings:
    """The settings of the interpreter that stay the same over all resets.

    `command` runs MicroPython. `heap` is about the number of bytes that are free for user code. `frozen` is a folder of
    modules that the firmware contains, or None. `flash_fd` is the descriptor of the flash image, and `blocks` is its
    size in blocks of 4096 bytes. `store` is the file of the key-value store. `unique_id` has 6 bytes. `ssid` and
    `password` belong to the access point. `ntp` says whether time servers answer. `time_ports` and `name_port` are the
    UDP ports of the time servers and of the name server.
    """

    command: list[str]
    heap: int
    frozen: Path | None
    flash_fd: int
    blocks: int
    store: Path
    unique_id: bytes
    ssid: str
    password: str
    ntp: bool
    time_ports: list[int]
    name_port: int

    @property
    def heap_size(self) -> int:
        """The bytes of heap that the interpreter gets, so that about `heap` of them are free for user code."""
        frozen = self.frozen.rglob("*.py") if self.frozen else ()
        return self.heap + _RUNTIME_HEAP + _FROZEN_HEAP_FACTOR * sum(path.stat().st_size for path in frozen)


class VmProcess:
    """A running interpreter. It sends its requests over the pipe `requests`, which ends when the interpreter ends."""

    def __init__(
        self, settings: VmSettings, registers: Registers, terminal_fd: int, cause: ResetCause, raw: bool
    ) -> None:
        """Start the interpreter on the terminal `terminal_fd` after a reset by `cause`, in the raw REPL if `raw`."""
        self._registers = registers
        # The instant (of time.monotonic) of the last SIGINT, and the generation of the user code that it interrupted.
        self._interrupted: tuple[float, int] | None = None
        # The generation of the user code to interrupt once SIGINT may be sent again, or None if there is none.
        self._wanted: int | None = None
        # The processor time (s) of the interpreter until which an interrupt waits for a system call, or None if no
        # interrupt waits.
        self._patience: float | None = None
        self.requests, requests_end = os.pipe()
        os.set_blocking(self.requests, False)
        config_fd, config_end = os.pipe()
        try:
            config = _vm_config(settings, registers.fd, requests_end, cause, raw)
            os.write(config_end, json.dumps(config).encode())
            inherited = (config_fd, requests_end, registers.fd, settings.flash_fd)
            self._process = _spawn(settings, config_fd, inherited, terminal_fd)
        except OSError:
            os.close(self.requests)
            raise
        finally:
            for fd in (config_end, config_fd, requests_end):
                os.close(fd)

    def interrupt(self) -> None:
        """Interrupt user code by SIGINT, at a moment when that does no harm to the interpreter.

        The interpreter raises KeyboardInterrupt right in its signal handler. In the middle of a compilation that may
        leave its tables in a state in which a look-up never returns; in the middle of a garbage collection it leaves
        the heap locked for ever. In a system call the interpreter holds nothing. So the signal waits for a short time
        until the interpreter is in a system call.
        """
        if self._patience is None:
            self._patience = self._time_used() + _PATIENCE_S
        self.send_postponed_interrupt()

    @property
    def interrupt_pending(self) -> bool:
        """True while an interrupt waits for a system call. Whatever is typed after the interrupt has to wait too."""
        return self._patience is not None

    def send_postponed_interrupt(self) -> None:
        """Send an interrupt that had to wait, if it may be sent now and if the same user code is still running."""
        if self._patience is not None:
            self._interrupt_now()
        if self._wanted is None or self._time_left() > 0:
            return
        wanted, self._wanted = self._wanted, None
        if self._registers.generation == wanted and self._registers.interrupt_char is not None:
            self.interrupt()

    def _interrupt_now(self) -> None:
        """Send SIGINT if the interpreter is in a system call. Postpone it if the last one may not be handled yet.

        The interpreter is stopped while its state is read, because otherwise it could begin a compilation before the
        signal arrives. It is interrupted only while user code is running.
        """
        generation = self._registers.generation
        if self._interrupted and self._interrupted[1] == generation and self._time_left() > 0:
            self._wanted, self._patience = generation, None
            return
        pid = self._process.pid
        slept = self._stat()[:1] in (["S"], [])
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if self._registers.interrupt_char is None:
            self._wanted = self._patience = None
        elif self._is_in_system_call(slept) or self._time_used() > (self._patience or 0.0):
            self._wanted = self._patience = None
            os.kill(pid, signal.SIGINT)
            self._interrupted = (time.monotonic(), self._registers.generation)
        os.kill(pid, signal.SIGCONT)

    def _is_in_system_call(self, if_unknown: bool) -> bool:
        """Tell whether the stopped interpreter is in a system call. Return `if_unknown` if the host does not say."""
        try:
            call = Path(f"/proc/{self._process.pid}/syscall").read_text()
        except OSError:
            return if_unknown
        return not call.startswith("-1")

    def _stat(self) -> list[str]:
        """Return the state of the process and the fields after it (proc(5)), or nothing if they cannot be read."""
        try:
            return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return []

    def _time_used(self) -> float:
        """Return the seconds of processor time that the interpreter has used."""
        return sum(map(int, self._stat()[11:13])) / _TICKS_PER_S  # utime and stime of proc(5)

    def _time_left(self) -> float:
        """Return the seconds until the next SIGINT may be sent. The number is not positive if it may be sent now."""
        return self._interrupted[0] + _INTERRUPT_SPACING_S - time.monotonic() if self._interrupted else 0.0

    def kill(self) -> int:
        """End the interpreter at this instant, as a power cut does, and return its exit status."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        os.close(self.requests)
        return status


def _vm_config(
    settings: VmSettings, registers_fd: int, requests_fd: int, cause: ResetCause, raw: bool
) -> dict[str, object]:
    """Return the settings that the interpreter reads when it starts: `HostLink.config` in vm/host.py."""
    return {
        "registers": registers_fd,
        "requests": requests_fd,
        "flash": settings.flash_fd,
        "blocks": settings.blocks,
        "store": str(settings.store),
        "frozen": str(settings.frozen.resolve()) if settings.frozen else None,
        "unique_id": settings.unique_id.hex(),
        "ssid": settings.ssid,
        "password": settings.password,
        "ntp": settings.ntp,
        "time_ports": settings.time_ports,
        "name_port": settings.name_port,
        "cause": int(cause),
        "raw": raw,
    }


def _spawn(
    settings: VmSettings, config_fd: int, inherited: tuple[int, ...], terminal_fd: int
) -> subprocess.Popen[bytes]:
    """Start the interpreter. MICROPYPATH and HOME of the host must not influence what it imports."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MICROPYPATH", "HOME")}
    return subprocess.Popen(
        [
            *settings.command,
            "-X",
            f"heapsize={settings.heap_size}",
            str(_VM_DIR / "start.py"),
            str(config_fd),
        ],
        stdin=terminal_fd,
        stdout=terminal_fd,
        stderr=terminal_fd,
        pass_fds=inherited,
        start_new_session=True,
        preexec_fn=_adopt_terminal,  # noqa: PLW1509 (the supervisor has no threads)
        umask=0o077,
        cwd="/",
        env={**environment, "TZ": "UTC0", "MICROPYPATH": f"{_VM_DIR}:.frozen"},
    )


def _adopt_terminal() -> None:
    """Make the terminal the controlling terminal. When the supervisor ends, the terminal ends the interpreter."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
