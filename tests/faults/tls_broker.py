"""A broker that boards reach by TLS only."""

from __future__ import annotations

from pathlib import Path

from e4_tools.mqtt.embedded_broker import HOST, free_port
from faults.rig import Rig
from helpers.authority import Authority, mosquitto_lines
from helpers.mosquitto import Mosquitto

NAME = "localhost"
_CA = "ca.der"


class TLSBroker:
    """mosquitto with two listeners: one for boards, with TLS, and `plain` for the board's partner, without."""

    def __init__(self, folder: Path, issuer: Authority, host: str = NAME, expired: bool = False) -> None:
        self.plain = Mosquitto(folder)
        self.port = free_port()
        self.plain.configure(f"listener {self.port} {HOST}\n{mosquitto_lines(issuer.issue(folder, host, expired))}")

    def rig(self, name: str, image: Path, folder: Path, ca: bytes) -> Rig:
        """A rig for this broker whose board trusts `ca`; what it sends is recorded."""
        rig = Rig(name, image, folder, self.plain.port, self.port, host=NAME, ca="/" + _CA)
        rig.files[_CA] = ca
        rig.record = True
        return rig
