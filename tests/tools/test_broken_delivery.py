"""Deliveries that break: the broker goes away in the middle of a QoS 2 handshake, or the key store cannot be locked."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

from e4_tools.fleet.messages import protect_for_topic
from e4_tools.keys.files import read_key
from e4_tools.keystore import open_store
from e4_tools.mqtt.embedded_broker import HOST
from helpers.member import Member
from helpers.mosquitto import Mosquitto
from helpers.operator import Operator

_KEY = b"0123456789abcdef0123456789ABCDEF"
_TOPIC = "sensors/lab"
_PUBREC = 0x50  # first byte of PUBREC, a packet of 4 bytes (MQTT 3.1.1 section 3.5)


class Cutter:
    """A relay between `e4` and a broker that breaks the delivery of commands. A context manager.

    The first `times` times, it closes the connection instead of passing a PUBREC on. If `returns` is false, it accepts
    no connection after the first cut.
    """

    def __init__(self, broker: int, times: int, returns: bool) -> None:
        self._broker, self._times, self._returns = broker, times, returns
        self.cuts = 0
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ended = threading.Event()

    def __enter__(self) -> Cutter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        self._listener.settimeout(0.1)
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            with client, socket.create_connection((HOST, self._broker)) as broker:
                self._relay(client, broker)
            if self.cuts and not self._returns:
                self._listener.close()
                return

    def _relay(self, client: socket.socket, broker: socket.socket) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(client, selectors.EVENT_READ, broker)
            waiting.register(broker, selectors.EVENT_READ, client)
            while not self._ended.is_set():
                for found, _ in waiting.select(0.1):
                    source = found.fileobj
                    assert isinstance(source, socket.socket)
                    try:
                        data = source.recv(65536)
                    except OSError:
                        return
                    if not data:
                        return
                    if source is broker and data[0] == _PUBREC and self.cuts < self._times:
                        self.cuts += 1
                        return
                    found.data.sendall(data)


@pytest.fixture
def operator(tmp_path: Path, mosquitto: Mosquitto) -> Operator:
    operator = Operator(tmp_path, mosquitto.port)
    operator.e4("topic", "add", _TOPIC)
    operator.e4("client", "add", "alice", "--ask", E4_KEY=_KEY.hex())
    return operator


@pytest.fixture
def alice(operator: Operator) -> Iterator[Member]:
    with Member("alice", _KEY, operator.port) as alice:
        yield alice


def _message(operator: Operator) -> bytes:
    key_file = Path(operator.environment["E4_KEYFILE"])
    return protect_for_topic(open_store(str(operator.store), lambda kind: read_key(key_file)), b"21.5 C", _TOPIC)


def test_a_broker_that_comes_back_gets_the_command_once_more(operator: Operator, alice: Member) -> None:
    with Cutter(operator.port, times=2, returns=True) as cutter:
        assert operator.e4("grant", "alice", _TOPIC, "--broker", f"{HOST}:{cutter.port}")["sent"] == 1
        assert cutter.cuts == 2
    assert alice.reads(_message(operator), _TOPIC)
    assert operator.e4("store", "show")["unsent"] == 0


@pytest.mark.parametrize("command", [("topic", "rotate", _TOPIC), ("client", "rekey", "alice")])
def test_a_broker_that_stays_away_leaves_the_command_in_the_store(
    operator: Operator, alice: Member, command: tuple[str, ...]
) -> None:
    operator.e4("grant", "alice", _TOPIC)
    with Cutter(operator.port, times=1, returns=False) as cutter:
        said = operator.e4(*command, "--broker", f"{HOST}:{cutter.port}", expect=3)["error"]
    assert "0 commands were sent, 1 wait in the key store for e4 sync" in said
    assert operator.e4("store", "show")["unsent"] == 1
    assert operator.e4("sync")["sent"] == 1
    operator.e4("grant", "alice", _TOPIC)
    assert alice.reads(_message(operator), _TOPIC)


def test_a_store_that_cannot_be_locked_says_so(operator: Operator, alice: Member) -> None:
    lock = Path(f"{operator.store}.lock")
    lock.unlink()
    lock.mkdir()
    said = operator.e4("grant", "alice", _TOPIC, expect=5)["error"]
    assert "cannot be locked" in said and "nothing was done" in said
    lock.rmdir()
    operator.e4("grant", "alice", _TOPIC)
    assert alice.obtains(_TOPIC)
