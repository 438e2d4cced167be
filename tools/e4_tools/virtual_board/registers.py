"""The shared registers: a small unnamed file through which supervisor and interpreter see each other's state.

| offset | bytes | written by | meaning |
|---|---|---|---|
| 0 | 1 | VM | byte that interrupts user code, 255: none |
| 1 | 1 | VM | counts the runs of user code, modulo 256 |
| 2 | 1 | supervisor | 1 while the access point is on |
| 3 | 1 | supervisor | 1 while the name server is gone |
| 4 | 4 | VM | watchdog timeout in ms, 0: not started |
| 8 | 4 | VM | counts the feeds of the watchdog |
| 16 | 2 | VM | length of the RTC memory |
| 20 | 8 | VM | board's clock minus host's clock in µs, signed |
| 32 | 2048 | VM | RTC memory |

Numbers are little-endian. Reading and writing are system calls on the page cache: both sides agree at once.
"""

import os
import struct
import tempfile
import time

_SIZE = 32 + 2048
_INTERRUPT_CHAR = 0
_ACCESS_POINT = 2
_NO_NAME_SERVER = 3
_WATCHDOG = 4
_RTC_OFFSET = 20
_NO_CHAR = 255
_POWER_ON_TIME = 946684800  # 2000-01-01: where the clock of an ESP32 begins


class Registers:
    """The supervisor's view; `fd` is inherited by the interpreter."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by close)
        self.fd = self._file.fileno()
        self.power_up()

    def power_up(self) -> None:
        """Clear everything, as a loss of power does. Access point and name server stay as they are."""
        surroundings = os.pread(self.fd, 2, _ACCESS_POINT) or b"\x01\x00"
        os.pwrite(self.fd, bytes(_SIZE), 0)
        os.pwrite(self.fd, surroundings, _ACCESS_POINT)
        offset = _POWER_ON_TIME * 1_000_000 - time.time_ns() // 1000
        os.pwrite(self.fd, offset.to_bytes(8, "little", signed=True), _RTC_OFFSET)
        self.no_user_code()

    def no_user_code(self) -> None:
        """Note that no user code is running, so that no typed byte interrupts anything."""
        os.pwrite(self.fd, bytes([_NO_CHAR]), _INTERRUPT_CHAR)

    def stop_watchdog(self) -> None:
        """Note that the watchdog has not been started."""
        os.pwrite(self.fd, bytes(8), _WATCHDOG)

    def set_access_point(self, on: bool) -> None:
        """Switch the virtual access point."""
        os.pwrite(self.fd, bytes([on]), _ACCESS_POINT)

    def set_name_server(self, on: bool) -> None:
        """Switch the name server."""
        os.pwrite(self.fd, bytes([not on]), _NO_NAME_SERVER)

    @property
    def interrupt_char(self) -> int | None:
        """The byte that interrupts user code now."""
        char = os.pread(self.fd, 1, _INTERRUPT_CHAR)[0]
        return None if char == _NO_CHAR else char

    @property
    def generation(self) -> int:
        """A number that differs between one run of user code and the next."""
        return os.pread(self.fd, 1, _INTERRUPT_CHAR + 1)[0]

    @property
    def watchdog(self) -> tuple[int, int]:
        """Timeout of the watchdog in ms, 0 if it was not started, and the count of feeds."""
        timeout, feeds = struct.unpack("<II", os.pread(self.fd, 8, _WATCHDOG))
        return timeout, feeds

    def close(self) -> None:
        """Give the file back to the system."""
        self._file.close()
