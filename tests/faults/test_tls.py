"""Faults under TLS, and brokers with a wrong certificate. The board must never send anything that is not encrypted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from faults import kinds
from faults.partner import Failure
from faults.proxy import TO_BOARD, TO_BROKER, Fault
from faults.rig import Rig
from faults.tls_broker import NAME, TLSBroker
from helpers.authority import Authority

LANES = "tls_lanes"
# The first bytes of every TLS connection (RFC 8446 section 5.1).
_HANDSHAKE = b"\x16\x03"
_FAULTS: dict[str, Callable[[], Fault]] = {
    "drop": lambda: kinds.drop(1),
    "stall": lambda: kinds.stall(0),
    "stall in a record": lambda: kinds.stall(20),
    "truncate": lambda: kinds.truncate(20),
    "stutter": lambda: kinds.stutter,
    "garbage": lambda: kinds.garbage(5),
    "stall after 3 bytes of the handshake": lambda: kinds.stall(3),
    "stall after 300 bytes of the handshake": lambda: kinds.stall(300),
    "stall after 900 bytes of the handshake": lambda: kinds.stall(900),
}
_CASES = [f"{name}, {direction}" for name in _FAULTS for direction in (TO_BOARD, TO_BROKER)]


def survives(case: str, rig: Rig) -> None:
    """Send messages during a fault under TLS. Raises Failure if the board does not survive it."""
    name, direction = case.split(", ")
    starts = rig.starts
    if "handshake" in name:
        rig.proxy.with_next[direction] = _FAULTS[name]()
        rig.proxy.reset()
    else:
        rig.proxy.apply(name, _FAULTS[name](), direction)
    rig.ask()
    rig.send()
    rig.check()
    # Some faults do not end a connection by themselves.
    rig.proxy.reset()
    rig.check()
    if rig.starts != starts:
        raise Failure(f"the board restarted; it said last: {rig.last_words()}")
    _check_secrecy(rig)


def _check_secrecy(rig: Rig) -> None:
    heard = bytes(rig.proxy.heard or b"")
    if not heard.startswith(_HANDSHAKE) or b"MQTT" in heard or rig.topic_out.encode() in heard:
        raise Failure("the board said something that was not encrypted")


@pytest.mark.parametrize("case", _CASES)
def test_faults(outcome: Future[None], case: str) -> None:
    outcome.result()


@pytest.mark.parametrize("wrong", ["issuer", "host", "date"])
def test_another_broker_is_refused_and_told_nothing(
    image: Path, authority: Authority, tmp_path: Path, wrong: str
) -> None:
    # The wrong issuer has the same name as the right one, but another key.
    issuer = Authority() if wrong == "issuer" else authority
    broker = TLSBroker(tmp_path, issuer, "elsewhere.test" if wrong == "host" else NAME, expired=wrong == "date")
    rig = broker.rig("wary", image, tmp_path, authority.der)
    rig.connects = False
    with rig:
        for _ in range(2):
            rig.console.expect("connection lost or not made: .*certificate", 30)
            rig.console.expect("trying again", 30)
        _check_secrecy(rig)
        assert not any("* connected to" in line for line in rig.console.lines)
        # Replace the wrong certificate by the right one. The board must then connect.
        authority.issue(tmp_path, NAME)
        broker.plain.stop()
        broker.plain.start()
        rig.give_keys()
    broker.plain.stop()


def test_many_messages_in_one_record(tls_broker: TLSBroker, authority: Authority, image: Path, tmp_path: Path) -> None:
    """A poll of the socket does not report data that TLS has already decrypted. The board must read it all the same."""
    with tls_broker.rig("busy", image, tmp_path, authority.der) as rig:
        rig.board.cut_power()
        for _ in range(15):
            rig.ask()
        rig.board.power_on()
        rig.check()
