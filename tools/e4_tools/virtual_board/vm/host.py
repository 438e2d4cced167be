"""The link between this interpreter and its supervisor.

It consists of three inherited file descriptors: a pipe with the settings as JSON, a file of shared registers, and a
pipe for requests such as a reset. The module `registers.py` of the host side describes the layout of the registers.
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
_OPOST_ONLCR = const(5)  # These flags of a terminal have it print CR LF for LF.
_ENOENT = const(2)

# The only `HostLink` of this process. `connect` sets it before the stand-ins are imported.
link = None

# The name that the machine of every virtual board bears, in `sys.implementation` and in the banner of the REPL.
MACHINE = "Virtual ESP32 board with ESP32"


def connect(config_fd):
    """Open the link, set `host.link` to it, and return it. Call this once, before the stand-ins are imported."""
    global link  # noqa: PLW0603 (set once, before the stand-ins import it)
    link = HostLink(config_fd)
    return link


class HostLink:
    """Gives the interpreter its settings and registers, and sends its requests. `config` is a dict of the settings."""

    def __init__(self, config_fd):
        with open(config_fd) as file:
            self.config = json.load(file)
        self._registers = self.open_descriptor("registers")
        self._requests = self.open_descriptor("requests")
        # A buffer for the two registers of an interrupt, so that writing them allocates nothing.
        self._two = bytearray(2)
        # The number of runs of user code, modulo 256.
        self._generation = 0
        # The attributes of the terminal for binary output, and then those for text.
        self._raw = termios.tcgetattr(1)
        self._cooked = termios.tcgetattr(1)
        self._cooked[1] |= _OPOST_ONLCR
        self._raw[1] &= ~_OPOST_ONLCR
        # The files of the host, which the board itself cannot reach once it has mounted its flash.
        self._host_files = vfs.VfsPosix()
        self._set_interrupt_char(_NO_CHAR)

    def open_descriptor(self, name):
        """Return the inherited file whose descriptor has this name in the settings. It has no buffer."""
        return open(self.config[name], "r+b")

    def enter_user_code(self):
        """Note that user code begins. From here on Ctrl-C interrupts it."""
        self._generation = (self._generation + 1) & 0xFF
        self._set_interrupt_char(_CTRL_C)

    def leave_user_code(self):
        """Note that user code has ended. From here on Ctrl-C is a byte. An interrupt that is on its way is dropped."""
        while True:
            try:
                self._set_interrupt_char(_NO_CHAR)
                for _ in range(3):
                    pass  # The VM raises a pending KeyboardInterrupt when a loop jumps back. Here it is caught.
                return
            except KeyboardInterrupt:
                continue

    def kbd_intr(self, char):
        """Set the byte that interrupts user code, as `micropython.kbd_intr` does. With -1 there is none.

        Without such a byte, output is binary: no CR is added to an LF.
        """
        self._set_interrupt_char(_NO_CHAR if char < 0 else char & 0xFF)
        if char < 0:
            termios.tcsetattr(1, termios.TCSANOW, self._raw)

    def _set_interrupt_char(self, char):
        """Write the byte that interrupts, and the number of the run of user code. Output becomes text."""
        self._two[0] = char
        self._two[1] = self._generation
        self._registers.seek(_INTERRUPT_CHAR)
        self._registers.write(self._two)
        termios.tcsetattr(1, termios.TCSANOW, self._cooked)

    def tell(self, request):
        """Send one request, a line of text, to the supervisor."""
        self._requests.write(request + "\n")

    def reset(self, request):
        """Send a request for a reset or a sleep. This never returns, because the supervisor ends this process."""
        self._set_interrupt_char(_NO_CHAR)
        self.tell(request)
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                continue

    def access_point_is_on(self):
        """Tell whether the virtual access point is on."""
        return self.read_register(_ACCESS_POINT, 1)[0] != 0

    def name_server_answers(self):
        """Tell whether the name server is on."""
        return self.read_register(_NO_NAME_SERVER, 1)[0] == 0

    def write_watchdog(self, timeout, feeds):
        """Start the watchdog with a timeout in ms, or feed it. `feeds` must differ from that of the last call."""
        self.write_register(_WATCHDOG, timeout.to_bytes(4, "little") + feeds.to_bytes(4, "little"))

    def read_watchdog(self):
        """Return the timeout of the watchdog in ms, or 0 if it was not started, and the number of feeds.

        The watchdog goes on running over soft resets.
        """
        data = self.read_register(_WATCHDOG, 8)
        return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")

    def rtc_offset(self, offset=None):
        """Return by how many microseconds the board's clock is ahead of the host's, or set it to `offset`."""
        if offset is None:
            value = int.from_bytes(self.read_register(_RTC_OFFSET, 8), "little")
            return value - (1 << 64) if value >> 63 else value
        return self.write_register(_RTC_OFFSET, (offset & ((1 << 64) - 1)).to_bytes(8, "little"))

    def rtc_memory(self, data=None):
        """Return the RTC memory, which survives a deep sleep, or set it to `data`, of at most 2048 bytes."""
        if data is None:
            size = int.from_bytes(self.read_register(_RTC_LENGTH, 2), "little")
            return self.read_register(_RTC_MEMORY, size)
        self.write_register(_RTC_MEMORY, data)
        return self.write_register(_RTC_LENGTH, len(data).to_bytes(2, "little"))

    def read_store(self):
        """Return the text of the key-value store, which is empty if there is no store yet."""
        try:
            with self._host_files.open(self.config["store"], "r") as file:
                return file.read()
        except OSError as error:
            if error.errno != _ENOENT:
                raise
            return ""

    def write_store(self, text):
        """Replace the text of the key-value store. After a power cut it is either the old or the new one."""
        path = self.config["store"]
        with self._host_files.open(path + ".new", "w") as file:
            file.write(text)
        self._host_files.rename(path + ".new", path)

    def read_register(self, at, size):
        """Return `size` bytes of the registers from offset `at` on."""
        self._registers.seek(at)
        return self._registers.read(size)

    def write_register(self, at, data):
        """Write `data` to the registers from offset `at` on."""
        self._registers.seek(at)
        self._registers.write(data)


_stdin = sys.stdin.buffer
_one = bytearray(1)


def read_byte():
    """Wait for a byte of the serial line and return it as an int. When the line has ended, this process ends too."""
    if not _stdin.readinto(_one):
        sys.exit()
    return _one[0]
