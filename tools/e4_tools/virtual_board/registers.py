"""The shared registers: a small file without a name, through which supervisor and interpreter see each other's state.

| offset | bytes | written by | meaning |
|---|---|---|---|
| 0 | 1 | VM | the byte that interrupts user code; 255 if none does |
| 1 | 1 | VM | the number of runs of user code, modulo 256 |
| 2 | 1 | supervisor | 1 while the access point is on |
| 3 | 1 | supervisor | 1 while the name server is off |
| 4 | 4 | VM | timeout of the watchdog in ms; 0 if it was not started |
| 8 | 4 | VM | the number of feeds of the watchdog |
| 16 | 2 | VM | the length of the RTC memory in bytes |
| 20 | 8 | VM | the board's clock minus the host's clock in µs, signed |
| 32 | 2048 | VM | the RTC memory |

Numbers are little-endian. Each access is a system call on the page cache, so what one side writes, the other side
reads at once.
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
_POWER_ON_TIME = 946684800  # 2000-01-01, at which the clock of an ESP32 begins, in Unix seconds


class Registers:
    """The supervisor's access to the registers. The interpreter inherits `fd`, the descriptor of the file."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by close)
        self.fd = self._file.fileno()
        self.power_up()

    def power_up(self) -> None:
        """Clear the state of the board, as a loss of power does. Access point and name server stay as they are."""
        surroundings = os.pread(self.fd, 2, _ACCESS_POINT) or b"\x01\x00"
        os.pwrite(self.fd, bytes(_SIZE), 0)
        os.pwrite(self.fd, surroundings, _ACCESS_POINT)
        offset = _POWER_ON_TIME * 1_000_000 - time.time_ns() // 1000
        os.pwrite(self.fd, offset.to_bytes(8, "little", signed=True), _RTC_OFFSET)
        self.note_no_user_code()

    def note_no_user_code(self) -> None:
        """Note that no user code is running. A typed byte does not interrupt anything then."""
        os.pwrite(self.fd, bytes([_NO_CHAR]), _INTERRUPT_CHAR)

    def stop_watchdog(self) -> None:
        """Note that the watchdog has not been started."""
        os.pwrite(self.fd, bytes(8), _WATCHDOG)

    def set_access_point(self, on: bool) -> None:
        """Switch the virtual access point on or off."""
        os.pwrite(self.fd, bytes([on]), _ACCESS_POINT)

    def set_name_server(self, on: bool) -> None:
        """Switch the name server on or off."""
        os.pwrite(self.fd, bytes([not on]), _NO_NAME_SERVER)

    @property
    def interrupt_char(self) -> int | None:
        """The byte that interrupts the user code that is running now, or None if no byte does."""
        char = os.pread(self.fd, 1, _INTERRUPT_CHAR)[0]
        return None if char == _NO_CHAR else char

    @property
    def generation(self) -> int:
        """The number of runs of user code, modulo 256. It differs from one run to the next."""
        return os.pread(self.fd, 1, _INTERRUPT_CHAR + 1)[0]

    @property
    def watchdog(self) -> tuple[int, int]:
        """The timeout of the watchdog in ms, or 0 if it was not started, and the number of feeds."""
        timeout, feeds = struct.unpack("<II", os.pread(self.fd, 8, _WATCHDOG))
        return timeout, feeds

    def close(self) -> None:
        """Close the file, which removes it."""
        self._file.close()
