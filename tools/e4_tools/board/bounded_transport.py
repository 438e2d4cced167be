"""mpremote's transport with limits, so that a board can neither keep it waiting without end nor fill the memory.

mpremote speaks the raw REPL, in raw-paste mode where the board has it ("Raw mode and raw-paste mode" in MicroPython's
documentation of the REPL). As it is, it keeps all that a board sends, and waits either 10 seconds or for ever. Where it
does not get what it waits for, it prints what it got, or quotes it in an error; and that may be anything, secrets
included. All its waiting is in `read_until`, and in `read` and `inWaiting` of its line, which are ours here. The first
two return only what was waited for, and raise LineError otherwise, so mpremote never comes to print anything.
"""

from __future__ import annotations

from collections.abc import Callable

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from e4_tools.board.serial_line import LineError, LineFlooded, SerialLine

_LARGEST_ANSWER = 256 * 1024  # bytes that a board may print for one call


class BoundedTransport(SerialTransport):  # type: ignore[misc] # mpremote has no annotations.
    """The raw REPL of a board on a line. All methods that Board calls raise LineError, and nothing else."""

    def __init__(self, port: str, line: SerialLine) -> None:
        # mpremote's own method opens the port itself. It does not say why a port cannot be opened, and it never returns
        # if a socket sends without end. So only the attributes are set here that it sets.
        self.device_name = port
        self.serial = line
        self.in_raw_repl = False
        self.use_raw_paste = True
        self.mounted = False
        self.is_pty = self._is_pty_device(port)
        # Whether the board has sent anything that was awaited. `read_until` sets it, and whoever wants to know sets it
        # to False before.
        self.has_answered = False

    def read_until(
        self,
        min_num_bytes: int,
        ending: bytes,
        timeout: float | None = None,
        data_consumer: Callable[[bytes], None] | None = None,
        timeout_overall: float | None = None,
    ) -> bytes:
        """Read up to and including `ending`, and return that, with what precedes it if `ending` is one byte.

        mpremote never looks at what precedes a longer one. With `data_consumer`, that function gets each byte before
        the ending instead. The limits are those of `SerialLine.begin_step`. `min_num_bytes` is not used, and mpremote
        does not use it either. Raises LineError; LineFlooded if there are too many bytes to return.
        """
        self.serial.begin_step(timeout_overall if timeout is None else timeout, timeout_overall)
        data = bytearray()
        while not data.endswith(ending):
            byte = self.serial.read(1)
            data += byte
            if data_consumer is not None and byte != ending:
                data_consumer(byte)
                data.clear()
            elif len(ending) > 1:
                del data[: -len(ending)]
            elif len(data) > _LARGEST_ANSWER + 1:
                raise LineFlooded(f"more than {_LARGEST_ANSWER} bytes")
        self.has_answered = True
        return bytes(data)

    def exec_raw_no_follow(self, command: bytes) -> None:
        """Have the board take code, and begin to run it. Raises LineError."""
        try:
            super().exec_raw_no_follow(command)
        except TransportError:  # Its text quotes what the board sent.
            raise LineError("the board did not take the code as MicroPython does") from None

    def close(self) -> None:
        """Close the line."""
        self.serial.close()
