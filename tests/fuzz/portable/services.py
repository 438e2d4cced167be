"""What name servers and time servers answer, what the clock makes of it, and what it finds after a reset."""

import e4
from firmware import dns, sntp
from firmware.clock import Clock, TimeRefused
from firmware.errors import LinkDown
from firmware.rtc import KeptTime
from firmware.sntp import KissOfDeath, TimeServerError
from fuzz import mutation
from fuzz.mutation import chance, pick
from fuzz.parser import Ignored, Parser, check
from fuzz.portable.library import NOW
from helpers.portable.support import Dice, finish
from helpers.portable.time_and_network import Calendar, Machine, Ticks, UDPNetwork, answer_to

_HOSTS = ("broker.example.org", "a.b", "x" * 63 + ".org", "0.pool.ntp.org", "192.0.2.1", "broker.local", "localhost")
_SERVER = ("192.0.2.1", 123)
_OTHER = ("192.0.2.2", 123)
_ALIAS = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01x\xc0\x13"
_ADDRESS = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x07"


class NameAnswer(Parser):
    """A reply of a name server. None means that it is no answer to the question."""

    refusals = (Ignored,)

    def make(self, dice):
        query = dns.make_query(pick(dice, _HOSTS[:4]), dice.bytes(2))
        records = [pick(dice, (_ALIAS, _ADDRESS, b"\x01x\x00" + _ADDRESS[2:])) for _ in range(dice.below(4))]
        head = query[:2] + pick(dice, (b"\x81\x80", b"\x81\x80", b"\x81\x83", b"\x01\x00"))
        count = pick(dice, (len(records), len(records), 0, 1, 65535)).to_bytes(2, "big")
        reply = head + b"\x00\x01" + count + bytes(4) + query[12:] + b"".join(records)
        return mutation.mutate(dice, (reply,)) if dice.below(3) else reply, query

    def parse(self, given):
        reply, query = given
        found = dns.read_reply(reply, query)
        if found is None:
            raise Ignored
        check(dns.is_address(found), "it is no address")
        check(reply[:2] == query[:2], "it answers another question")


class HostName(Parser):
    """The name of a host, as a person gives it, which becomes a question for a name server."""

    refusals = (LinkDown,)

    def make(self, dice):
        return mutation.mutate_text(dice, _HOSTS)

    def parse(self, given):
        dns.is_address(given)
        query = dns.make_query(given, b"\x12\x34")
        check(query.endswith(b"\x00\x00\x01\x00\x01"), "it is no question for an address")


class TimeAnswer(Parser):
    """What arrives after a question to a time server: any number of packets, from anywhere, at any time."""

    refusals = (TimeServerError, KissOfDeath)

    def make(self, dice):
        return [
            (
                pick(dice, (0, 1, 40, 1999, 2000, 5000)),
                pick(dice, (0, 0, 1, 2, 3)),
                pick(dice, (_SERVER, _SERVER, _OTHER)),
                dice.below(1 << 20),
            )
            for _ in range(dice.below(5))
        ]

    def parse(self, given):
        ticks = Ticks(1000 if len(given) % 2 else (1 << 30) - 100)
        network = UDPNetwork(ticks)
        network.arrivals = lambda question, _: [
            (delay, time_packet(Dice(seed), question, kind), source) for delay, kind, source, seed in given
        ]
        try:
            answer = finish(sntp.ask(_SERVER, network, ticks))
        finally:
            check(network.open == 0, "a socket is left open")
            check(ticks.passed <= 4100, "it waits for too long")
        check(0 < answer.lower <= answer.upper < 2840140800 * 1000 + 10000000000, "it is no span of time")
        check(answer.upper - answer.lower < 10000, "the span is too wide to be of use")


def time_packet(dice, question, kind, milliseconds=NOW * 1000):
    """Return an answer of a time server to a question: 0 a good one, 1 and 2 a changed one, 3 a kiss of death."""
    good = answer_to(question, milliseconds)
    if kind == 0:
        return good
    if kind == 1:
        # The number of ours is in it again, so that the change gets past the first check.
        changed = mutation.mutate(dice, (good,), 60)
        return changed[:24] + question[40:48] + changed[32:]
    if kind == 2:
        return mutation.mutate(dice, (good,), 60)
    return b"\xe4\x00" + good[2:12] + pick(dice, (b"DENY", b"RSTR", b"RATE", b"\x1b[2J", dice.bytes(4))) + good[16:]


class _Settings:
    """The part of a configuration that a clock needs."""

    time_servers = ("a", "b", "c")
    time_from_commands = False
    future_tolerance = 60


class _FromCommands(_Settings):
    time_from_commands = True


class _OneServer(_Settings):
    time_servers = ("a",)


class Time(Parser):
    """The life of a clock: synchronisations with servers that say anything, messages of any time, and hours between."""

    refusals = (TimeServerError, TimeRefused, KissOfDeath, e4.ClockNotSet)

    def make(self, dice):
        steps = []
        for _ in range(1 + dice.below(6)):
            verb = pick(dice, ("synchronise", "synchronise", "pass", "confirm", "raise", "weigh"))
            number = pick(dice, (0, 0, 1000, 61000, -61000, 86400000, -86400000, pick(dice, mutation.NUMBERS)))
            steps.append((verb, number, dice.below(1 << 20)))
        return pick(dice, (_Settings, _Settings, _FromCommands, _OneServer)), steps

    def parse(self, given):
        settings, steps = given
        ticks = Ticks()
        network = UDPNetwork(ticks)
        machine = Machine(ticks)
        clock = Clock(
            settings,
            sntp.TimeServers(settings.time_servers, network, ticks),
            KeptTime(machine, Calendar()),
            ticks,
            lambda text: check("\x1b" not in text, "what a server says could steer a terminal"),
        )
        failure = None
        for verb, number, seed in steps:
            dice = Dice(seed)
            if verb == "synchronise":
                network.arrivals = lambda question, address, dice=dice, number=number: [
                    (
                        40,
                        time_packet(dice, question, pick(dice, (0, 0, 0, 1, 3)), NOW * 1000 + ticks.passed + number),
                        address,
                    )
                ]
                try:
                    finish(clock.synchronise())
                except Exception as error:
                    if not self.is_refusal(error):
                        raise
                    failure = error
            elif verb == "pass":
                ticks.pass_ms(abs(number) & 0xFFFFFFF)
                clock.is_due()
            else:
                # What is authentic has any timestamp of 64 bits.
                timestamp = NOW + number // 1000 if abs(number) < 1 << 40 else number & 0xFFFFFFFFFFFFFFFF
                if verb == "weigh":
                    clock.weigh(timestamp)
                else:
                    # The client lets nothing through that is further ahead of the clock than the tolerance.
                    try:
                        timestamp = min(timestamp, clock() + 60)
                    except e4.ClockNotSet:
                        continue
                    (clock.confirm if verb == "confirm" else clock.raise_floor)(max(0, timestamp))
            check(clock.trust in (0, 1, 2, 3), "the trust has another value")
            check("\x1b" not in clock.why, "what a server says could steer a terminal")
        if failure is not None:
            raise failure
        check(clock() >= 0, "the time is no number")


class Kept(Parser):
    """What the memory of the real-time clock holds after a reset, which may be from anybody."""

    refusals = (e4.ClockNotSet,)

    def make(self, dice):
        lower = NOW * 1000 + pick(dice, (0, 0, -1000, 1000, 86400000, -86400000))
        width = pick(dice, (0, 1000, 0xFFFFFFFF))
        note = b"e4clock1" + lower.to_bytes(8, "big") + width.to_bytes(4, "big") + bytes((dice.below(5),))
        if dice.below(2):
            note = b"e4clock1" + mutation.mutate(dice, (note[8:],), 30)
        elif dice.below(2):
            note = mutation.mutate(dice, (note,), 60)
        return note, pick(dice, (0, 1, 86400000)), pick(dice, (1, 4)), chance(dice, 4)

    def parse(self, given):
        note, passed, cause, is_old = given
        ticks = Ticks()
        machine = Machine(ticks)
        calendar = Calendar()
        KeptTime(machine, calendar).keep(NOW * 1000 - (10**12 if is_old else 0), 1000, 2)
        machine.data = note
        machine.cause = cause
        ticks.pass_ms(passed)
        clock = Clock(_Settings, sntp.TimeServers((), UDPNetwork(ticks), ticks), KeptTime(machine, calendar), ticks)
        check(clock.trust <= 2, "a confirmation has outlived a reset")
        check(clock() >= 0, "the time is no number")
