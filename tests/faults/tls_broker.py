"""A broker to which boards connect only with TLS."""

from __future__ import annotations

from pathlib import Path

from e4_tools.mqtt.embedded_broker import HOST, free_port
from faults.rig import Rig
from helpers.authority import Authority, mosquitto_lines
from helpers.mosquitto import Mosquitto

NAME = "localhost"
_CA = "ca.der"


class TLSBroker:
    """A mosquitto with two listeners.

    Boards use the one on `port`, with TLS. The partner of a board uses the other one, without TLS. `plain` is the
    process; its port is that of the listener without TLS.
    """

    def __init__(self, folder: Path, issuer: Authority, host: str = NAME, expired: bool = False) -> None:
        self.plain = Mosquitto(folder)
        self.port = free_port()
        self.plain.configure(f"listener {self.port} {HOST}\n{mosquitto_lines(issuer.issue(folder, host, expired))}")

    def rig(self, name: str, image: Path, folder: Path, ca: bytes) -> Rig:
        """Return a rig for this broker, whose board trusts the CA certificate `ca`. The proxy records what it sends."""
        rig = Rig(name, image, folder, self.plain.port, self.port, host=NAME, ca="/" + _CA)
        rig.files[_CA] = ca
        rig.record = True
        return rig
