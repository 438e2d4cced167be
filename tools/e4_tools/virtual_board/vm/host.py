"""The wires between this interpreter and its supervisor.

Three inherited file descriptors: a pipe with the settings (JSON), a file of shared registers, and a pipe for
requests (reset, sleep). The layout of the registers is described in `registers.py` on the host side.
"""

import json
import sys
import termios
import time

import vfs
from micropython import const

_INTERRUPT_CHAR = const(0)
_GENERATION = const(1)
_ACCESS_POINT = const(2)
_NO_NAME_SERVER = const(3)
_WATCHDOG = const(4)
_RTC_LENGTH = const(16)
_RTC_OFFSET = const(20)
_RTC_MEMORY = const(32)
_NO_CHAR = const(255)
_CTRL_C = const(3)
_OPOST_ONLCR = const(5)
_ENOENT = const(2)

# The one `HostLink` of this process. `connect` sets it before the stand-ins are imported.
link = None

# The name that the machine of every virtual board bears, in `sys.implementation` and in the banner of the REPL.
MACHINE = "Virtual ESP32 board with ESP32"


def connect(config_fd):
    """Open the wires and set `host.link`. This is called once, before the stand-ins are imported."""
    global link  # noqa: PLW0603 (set once, before the stand-ins import it)
    link = HostLink(config_fd)
    return link


class HostLink:
    """The settings of this board (`config`, a dict), its registers, and its way to ask for a reset."""

    def __init__(self, config_fd):
        with open(config_fd) as file:
            self.config = json.load(file)
        self._registers = self.open_descriptor("registers")
        self._requests = self.open_descriptor("requests")
        self._two = bytearray(2)
        self._generation = 0
        self._raw = termios.tcgetattr(1)
        self._cooked = termios.tcgetattr(1)
        self._cooked[1] |= _OPOST_ONLCR
        self._raw[1] &= ~_OPOST_ONLCR
        self._host_files = vfs.VfsPosix()
        self._set_interrupt_char(_NO_CHAR)

    def open_descriptor(self, name):
        """The inherited file `name`, unbuffered."""
        return open(self.config[name], "r+b")

    def enter_user_code(self):
        """From here on Ctrl-C interrupts."""
        self._generation = (self._generation + 1) & 0xFF
        self._set_interrupt_char(_CTRL_C)

    def leave_user_code(self):
        """From here on Ctrl-C is a byte. Swallows an interrupt that is on its way; never raises one."""
        while True:
            try:
                self._set_interrupt_char(_NO_CHAR)
                for _ in range(3):
                    pass  # A pending KeyboardInterrupt is raised when a loop jumps back: here, where it is caught.
                return
            except KeyboardInterrupt:
                continue

    def kbd_intr(self, char):
        """`micropython.kbd_intr`: the byte that interrupts, -1 for none. With none, output is binary."""
        self._set_interrupt_char(_NO_CHAR if char < 0 else char & 0xFF)
        if char < 0:
            termios.tcsetattr(1, termios.TCSANOW, self._raw)

    def _set_interrupt_char(self, char):
        self._two[0] = char
        self._two[1] = self._generation
        self._registers.seek(_INTERRUPT_CHAR)
        self._registers.write(self._two)
        termios.tcsetattr(1, termios.TCSANOW, self._cooked)

    def tell(self, request):
        """Send one request, a line of text, to the supervisor."""
        self._requests.write(request + "\n")

    def reset(self, request):
        """Ask for a reset and never return: the supervisor ends this process."""
        self._set_interrupt_char(_NO_CHAR)
        self.tell(request)
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                continue

    def access_point_is_on(self):
        """True while the virtual access point can be heard."""
        return self.read_register(_ACCESS_POINT, 1)[0] != 0

    def name_server_answers(self):
        """True while names can be resolved, given WiFi."""
        return self.read_register(_NO_NAME_SERVER, 1)[0] == 0

    def write_watchdog(self, timeout, feeds):
        """Arm (`timeout` in ms) or feed the watchdog; `feeds` must differ from the last call's."""
        self.write_register(_WATCHDOG, timeout.to_bytes(4, "little") + feeds.to_bytes(4, "little"))

    def read_watchdog(self):
        """(timeout in ms or 0, number of feeds): the watchdog runs on across soft resets."""
        data = self.read_register(_WATCHDOG, 8)
        return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")

    def rtc_offset(self, offset=None):
        """Read or, with `offset`, set by how many microseconds the board's clock is ahead of the host's."""
        if offset is None:
            value = int.from_bytes(self.read_register(_RTC_OFFSET, 8), "little")
            return value - (1 << 64) if value >> 63 else value
        return self.write_register(_RTC_OFFSET, (offset & ((1 << 64) - 1)).to_bytes(8, "little"))

    def rtc_memory(self, data=None):
        """Read or, with `data` (at most 2048 bytes), set what survives a deep sleep."""
        if data is None:
            size = int.from_bytes(self.read_register(_RTC_LENGTH, 2), "little")
            return self.read_register(_RTC_MEMORY, size)
        self.write_register(_RTC_MEMORY, data)
        return self.write_register(_RTC_LENGTH, len(data).to_bytes(2, "little"))

    def read_store(self):
        """The text of the key-value store, empty if there is none yet."""
        try:
            with self._host_files.open(self.config["store"], "r") as file:
                return file.read()
        except OSError as error:
            if error.errno != _ENOENT:
                raise
            return ""

    def write_store(self, text):
        """Replace the key-value store as a whole: after a power cut it is the old or the new one."""
        path = self.config["store"]
        with self._host_files.open(path + ".new", "w") as file:
            file.write(text)
        self._host_files.rename(path + ".new", path)

    def read_register(self, at, size):
        """The `size` bytes of the registers from offset `at`."""
        self._registers.seek(at)
        return self._registers.read(size)

    def write_register(self, at, data):
        """Store `data` in the registers from offset `at`."""
        self._registers.seek(at)
        self._registers.write(data)


_stdin = sys.stdin.buffer
_one = bytearray(1)


def read_byte():
    """Wait for a byte from the serial line and return it, an int. The process ends when the line is gone."""
    if not _stdin.readinto(_one):
        sys.exit()
    return _one[0]
