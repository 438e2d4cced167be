"""What arrives from a broker at `e4 listen`, and what boards ask of the servers of their virtual network."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import e4
from e4_tools.errors import KeyStoreError, UnknownName
from e4_tools.fleet.messages import TopicReader
from e4_tools.keystore import open_store
from e4_tools.virtual_board.name_server import answer_name_query
from e4_tools.virtual_board.time_servers import answer_time_query
from firmware import dns
from fuzz import mutation
from fuzz.host.store import SECRET, make_fleet
from fuzz.mutation import pick
from fuzz.parser import Ignored, Parser, check
from fuzz.portable.library import NOW
from helpers.portable.support import Dice

_TOPICS = ("sensors/lab", "sensors/roof", "sensors/none", "e4/00", "$SYS/uptime", "", "\x1b[2J", "größe", "x" * 600)


class Heard(Parser):
    """A payload on any topic, as the broker delivers it, for somebody who reads the topics of the key store."""

    refusals = (
        e4.TooShort, e4.TimestampTooOld, e4.TimestampInFuture, e4.Replayed, e4.PerhapsReplayed, e4.NotAuthentic,
        e4.TopicKeyNotFound, e4.InvalidTopic, UnknownName, KeyStoreError,
    )  # fmt: skip

    def __init__(self) -> None:
        path = Path("fuzz-fleet.db")
        path.unlink(missing_ok=True)
        make_fleet(path)
        self._store = open_store(str(path), lambda _: SECRET)
        self._reader = TopicReader(self._store)

    def make(self, dice: Dice) -> tuple[bytes, str]:
        key = pick(dice, (b"t" * 32, b"u" * 32, b"u" * 32, b"x" * 32))
        stamp = NOW + pick(dice, (0, 0, -10, 60, 61, -600, -601, pick(dice, mutation.NUMBERS))) & 0xFFFFFFFFFFFFFFFF
        sealed = e4.protect(mutation.noise(dice, 80) or b"x", key, stamp)
        topic = pick(dice, _TOPICS[:2]) if dice.below(3) else mutation.mutate_text(dice, _TOPICS)
        return (sealed if dice.below(2) else mutation.mutate(dice, (sealed,))), topic

    def parse(self, given: tuple[bytes, str]) -> None:
        payload, topic = given
        reader = self._reader
        # A message that an earlier input has shown is no copy for this one.
        reader._accepted = type(reader._accepted)(16)
        with patch("time.time", lambda: float(NOW)):
            message = reader.unprotect(payload, topic)
        check(len(message) == len(payload) - 24, "a message has another length")


class NameQuestion(Parser):
    """What a board asks the name server of its virtual network."""

    refusals = (Ignored,)

    def make(self, dice: Dice) -> bytes:
        query = dns.make_query(pick(dice, ("broker.test", "a.b", "x" * 63 + ".org")), b"\x12\x34")
        return mutation.mutate(dice, (query,)) if dice.below(4) else query

    def parse(self, given: bytes) -> None:
        def address_of(name: str) -> str:
            if not name.endswith(".test"):
                raise OSError(f"no such name: {name}")
            return "127.0.0.1"

        reply = answer_name_query(given, address_of)
        if not reply:
            raise Ignored
        check(reply[:2] == given[:2] and len(reply) <= len(given) + 16, "it answers another question")


class TimeQuestion(Parser):
    """What a board asks a time server of its virtual network."""

    def make(self, dice: Dice) -> bytes:
        return mutation.mutate(dice, (b"\x23" + bytes(39) + b"8 random",), 100).ljust(48, b"\0")

    def parse(self, given: bytes) -> None:
        answer = answer_time_query(given, NOW)
        check(len(answer) == 48 and answer[24:32] == given[40:48], "it answers another question")
