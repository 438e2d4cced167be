"""The settings of a virtual board. They are checked before anything is started."""

import ipaddress
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from e4_tools.virtual_board.errors import VirtualBoardError
from e4_tools.virtual_board.interpreter import BOARD_HEAP

DEFAULT_SSID = "virtual"
DEFAULT_PASSWORD = "virtual-wifi"  # noqa: S105 (everybody may know the password of a network that does not exist)
DEFAULT_WIFI = f"{DEFAULT_SSID}:{DEFAULT_PASSWORD}"
DEFAULT_HEAP = BOARD_HEAP
_KEY_LENGTHS = range(8, 64)  # bytes of a WiFi password
_SSID_MAX = 32  # bytes
_PORT_MAX = 65535
_HEAP_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}
_HEAP_MIN = 64 * 1024  # bytes


@dataclass(frozen=True)
class BoardOptions:
    """All settings of one board, which `VirtualBoard` describes one by one.

    Making it raises VirtualBoardError for values that no board can have.
    """

    image: Path
    port: Path | None = None
    listen: str | None = None
    wifi: str = DEFAULT_WIFI
    heap: str = DEFAULT_HEAP
    frozen: Path | None = None
    ntp: bool = True
    chip_image: Path | None = None

    def __post_init__(self) -> None:
        _ = self.wifi_network, self.heap_bytes, self.listen_address
        if self.frozen is not None and not self.frozen.is_dir():
            raise VirtualBoardError(f"frozen modules: {self.frozen} is not a directory")

    @property
    def wifi_network(self) -> tuple[str, str]:
        """The SSID and the password of the virtual access point. The password of an open network is empty."""
        ssid, colon, password = self.wifi.partition(":")
        # A command line may hold bytes that are not UTF-8; `os.fsencode` gives them back, and they count as they are.
        if not colon or not 0 < len(os.fsencode(ssid)) <= _SSID_MAX:
            raise VirtualBoardError("the WiFi network is given as SSID:PASSWORD, the SSID with 1 to 32 bytes")
        if password and len(os.fsencode(password)) not in _KEY_LENGTHS:
            raise VirtualBoardError("a WiFi password has 8 to 63 bytes, or none for an open network")
        return ssid, password

    @property
    def heap_bytes(self) -> int:
        """The bytes of heap that are about free when user code starts."""
        match = re.fullmatch(r"(\d{1,12})([km]?)", self.heap.lower())
        size = int(match[1]) * _HEAP_UNITS[match[2]] if match else 0
        if size < _HEAP_MIN:
            raise VirtualBoardError(f"heap {self.heap!r}: expected a size of at least 64k, such as 320k or 1m")
        return size

    @property
    def listen_address(self) -> tuple[str, int] | None:
        """The address and the port at which the serial line is served over TCP, or None if it is not.

        Only addresses of the loopback interface are allowed, because whoever connects controls the board.
        """
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        try:
            loopback = ipaddress.IPv4Address(host).is_loopback
        except ValueError:
            loopback = False
        if not loopback or not re.fullmatch(r"\d{1,5}", port) or int(port) > _PORT_MAX:
            raise VirtualBoardError(f"listen {self.listen!r}: expected 127.0.0.1:PORT (port 0: any free one)")
        return host, int(port)

    def to_json(self) -> str:
        """Return the options as JSON, for the process that runs the board."""
        return json.dumps({name: _plain(value) for name, value in asdict(self).items()})

    @classmethod
    def from_json(cls, text: str) -> "BoardOptions":
        """Return the options that `to_json` has written as JSON. Raises VirtualBoardError for any other text."""
        try:
            values = json.loads(text)
            for name in ("image", "port", "frozen", "chip_image"):
                values[name] = Path(values[name]) if values[name] is not None else None
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise VirtualBoardError("this is no JSON with the options of a virtual board") from None


def _plain(value: object) -> object:
    """Return a value as JSON can hold it: a path becomes a string."""
    return str(value) if isinstance(value, Path) else value
