"""The host's side of an emulated board: its relay, and what is said when something for it is missing."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from e4_tools.dev.emulated.__main__ import main
from e4_tools.dev.emulated.console_relay import ConsoleRelay
from e4_tools.dev.emulated.relay import Relay, frame, take_frame
from helpers.firmware_image import write_image

_HOST = "127.0.0.1"


class _Board:
    """The board's end of the line, and the broker's end of the connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server((_HOST, 0))
        self.line, relay_end = socket.socketpair()
        self.line.settimeout(10)
        self.relay = Relay(relay_end, self._listener.getsockname())
        self._received = bytearray()

    def ask(self, kind: str, number: int, data: bytes = b"") -> tuple[int, bytes]:
        """Return status and data of the answer to a question."""
        self.line.sendall(frame(ord(kind), number, data))
        while (answer := take_frame(self._received)) is None:
            self._received += self.line.recv(100)
        assert answer[:2] == (ord(kind), number)
        return answer[2][0], answer[2][1:]

    def connect(self) -> socket.socket:
        """Connect to the broker, and return the broker's end."""
        assert self.ask("C", 1, b"192.0.2.1:1883") == (0, b"")
        made, _ = self._listener.accept()
        made.settimeout(10)
        return made

    def wait_for_bell(self) -> None:
        assert self.line.recv(1) == b"\xd0"

    def close(self) -> None:
        self.relay.close()
        self.line.close()
        self._listener.close()


@pytest.fixture
def board() -> Iterator[_Board]:
    made = _Board()
    yield made
    made.close()


def test_what_the_board_writes_arrives_and_what_comes_back_is_announced_and_read(board: _Board) -> None:
    with board.connect() as broker:
        assert board.ask("W", 2, b"hello") == (0, b"")
        assert broker.recv(10) == b"hello"
        assert board.ask("R", 3, b"\x10\x00") == (1, b"")  # nothing yet
        broker.sendall(b"welcome")
        board.wait_for_bell()
        assert board.ask("R", 4, b"\x03\x00") == (0, b"wel")
        assert board.ask("R", 5, b"\x60\x00") == (0, b"come")


def test_a_question_that_is_asked_again_is_answered_again_and_carried_out_once(board: _Board) -> None:
    with board.connect() as broker:
        for _ in range(3):
            assert board.ask("W", 2, b"once") == (0, b"")
        assert board.ask("W", 3, b".") == (0, b"")
        assert broker.recv(100) == b"once."
        broker.sendall(b"abc")
        board.wait_for_bell()
        for _ in range(3):
            assert board.ask("R", 4, b"\x02\x00") == (0, b"ab")
        assert board.ask("R", 5, b"\x02\x00") == (0, b"c")


def test_the_board_is_told_that_the_broker_has_hung_up(board: _Board) -> None:
    board.connect().close()
    board.wait_for_bell()
    assert board.ask("R", 2, b"\x10\x00") == (2, b"")
    assert board.ask("X", 3) == (0, b"")
    assert board.ask("W", 4, b"late") == (2, b"")


def test_a_frame_that_is_damaged_or_behind_other_bytes_does_no_harm() -> None:
    good = frame(ord("W"), 7, b"\xe4 data")
    damaged = good[:-1] + bytes((good[-1] ^ 1,))
    received = bytearray(b"\xd0\xe4\xe4" + damaged + b"noise" + good + good[:4])
    assert take_frame(received) == (ord("W"), 7, b"\xe4 data")
    assert take_frame(received) is None
    received += good[4:]
    assert take_frame(received) == (ord("W"), 7, b"\xe4 data")
    assert received == b""


def test_a_time_server_is_asked_by_datagrams_and_others_are_lost(board: _Board) -> None:
    query = b"\x23" + bytes(39) + b"question"
    assert board.ask("S", 1, b"192.0.2.3:123\0" + query) == (0, b"")
    status, answer = board.ask("D", 2)
    assert status == 0
    address, _, said = answer.partition(b"\0")
    assert address == b"192.0.2.3:123"
    assert len(said) == 48 and said[24:32] == b"question"  # the client's own stamp comes back (RFC 4330 section 5)
    assert board.ask("D", 3) == (1, b"")
    assert board.ask("S", 4, b"192.0.2.3:53\0" + query) == (0, b"")
    assert board.ask("D", 5) == (1, b"")


def test_the_console_serves_one_client_after_the_other_and_keeps_the_line() -> None:
    emulator, relay_end = socket.socketpair()
    emulator.settimeout(10)
    relay = ConsoleRelay(relay_end)
    try:
        for typed in (b"one", b"two"):
            with socket.create_connection((_HOST, relay.port), 10) as client:
                client.sendall(typed)
                assert emulator.recv(10) == typed
                emulator.sendall(b"heard " + typed)
                assert client.recv(20) == b"heard " + typed
    finally:
        relay.close()
    assert emulator.recv(10) == b""
    emulator.close()


@pytest.mark.parametrize(
    ("machines", "chip_id", "complaint"),
    [
        ("esp32 a chip", 9, "is for ESP32-S3, and QEMU emulates only ESP32 and ESP32-C3"),
        ("esp32 a chip", 5, "has no machine esp32c3; nothing was done. This image takes a qemu-system-riscv32"),
        ("lx60 a board", 0, "has no machine esp32; nothing was done. This image takes a qemu-system-xtensa"),
    ],
)
def test_a_wrong_emulator_or_image_is_named(tmp_path: Path, machines: str, chip_id: int, complaint: str) -> None:
    qemu = tmp_path / "qemu-system-xtensa"
    qemu.write_text(f"#!/bin/sh\necho '{machines}'\n")
    os.chmod(qemu, stat.S_IRWXU)
    image = write_image(tmp_path / "image.bin", chip_id, 0x1000 if chip_id == 0 else 0)
    result = CliRunner().invoke(main, [str(qemu), str(image)])
    assert result.exit_code == 1
    assert complaint in result.output and "nothing was done" in result.output


def test_an_emulator_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path / "none"), str(write_image(tmp_path / "image.bin"))])
    assert result.exit_code == 1
    assert f"QEMU={tmp_path / 'none'} cannot be run" in result.output
