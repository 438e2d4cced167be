"""A client does not accept anything twice, and its time does not run backwards."""

import os

import e4
from e4 import commands
from e4.recent_messages import RecentMessages
from helpers.portable.client_bench import ID, ID_KEY, KEY_A, KEY_B, KEY_C, TOPIC, Bench
from helpers.portable.support import Clock, raises

_COPY = 1  # what `RecentMessages.classify` returns for a copy


class Recorder:
    """A client, its C2, and an attacker who records every command and plays it back."""

    def __init__(self, **settings):
        self.clock = Clock()
        self.store = e4.MemoryStore()
        self.settings = settings
        self.client = e4.Client(ID, ID_KEY, self.store, self.clock, **settings)
        self.recorded = []

    def command(self, plain, key=ID_KEY, age=0):
        payload = e4.protect(plain, key, self.clock.now - age)
        self.recorded.append(payload)
        return self.play(payload)

    def play(self, payload):
        return self.client.unprotect(payload, self.client.receiving_topic)

    def restart(self):
        self.client = e4.Client(ID, None, self.store, self.clock, **self.settings)

    def state(self):
        return {name: self.store.get(name) for name in self.store.names()}


def _rotate_keys():
    bench = Recorder()
    for key in (KEY_A, KEY_B, KEY_C):
        bench.clock.now += 1
        bench.command(commands.set_topic_key(key, TOPIC))
    return bench


def test_an_old_key_cannot_be_played_back():
    bench = _rotate_keys()
    before = bench.state()
    for _ in range(2):
        for payload in bench.recorded[:-1]:
            raises(e4.Replayed, bench.play, payload)
        assert bench.play(bench.recorded[-1]) is None
        assert bench.state() == before
        bench.restart()
    assert bench.client.applied == 0


def test_all_commands_of_one_second_count():
    bench = Recorder()
    for i in range(40):
        bench.command(commands.set_topic_key(bytes((i + 1,)) * 32, TOPIC))
    assert bench.client.applied == 40
    before = bench.state()
    bench.restart()
    for payload in bench.recorded:
        assert bench.play(payload) is None
    assert bench.state() == before
    assert bench.client.applied == 0


def test_a_retained_command_is_known_however_old_it_is():
    bench = Recorder()
    bench.command(commands.set_id_key(KEY_A))
    retained = bench.recorded[-1]
    before = bench.state()
    bench.clock.now += 30 * 86400
    bench.restart()
    assert bench.play(retained) is None
    assert bench.state() == before
    # A copy with another ciphertext is not a redelivery of a command that was applied. It must not be applied either.
    forged = retained[:-1] + bytes((retained[-1] ^ 1,))
    assert bench.play(forged) is None
    assert bench.state() == before


def test_a_command_that_was_refused_may_come_again():
    bench = Recorder()
    payload = e4.protect(commands.set_topic_key(KEY_A, TOPIC), ID_KEY, bench.clock.now + 100)
    raises(e4.TimestampInFuture, bench.play, payload)
    bench.clock.now += 100
    bench.play(payload)
    assert bench.client.holds_key(TOPIC)


def test_the_age_limit_of_commands_is_a_setting():
    night = 12 * 3600
    bench = Recorder()
    raises(e4.TimestampTooOld, bench.command, commands.set_topic_key(KEY_A, TOPIC), ID_KEY, night)
    for limit in (night, None):
        bench = Recorder(max_command_age=limit)
        bench.command(commands.set_topic_key(KEY_A, TOPIC), age=night)
        bench.command(commands.set_topic_key(KEY_B, "other"), age=night - 1)
        raises(e4.Replayed, bench.play, bench.recorded[0])
        raises(e4.TimestampTooOld, bench.client.unprotect, e4.protect(b"x", KEY_A, bench.clock.now - 601), TOPIC)
    raises(e4.TimestampTooOld, Recorder(max_command_age=5).command, commands.reset_topics(), ID_KEY, 6)


def test_time_does_not_run_backwards_past_the_last_command():
    bench = Recorder()
    old = e4.protect(b"recorded long ago", KEY_A, bench.clock.now)
    bench.clock.now += 86400
    bench.command(commands.set_topic_key(KEY_A, TOPIC))
    assert bench.client.floor == bench.clock.now
    # A time server lies and sets the clock back by a day.
    bench.clock.now -= 86400
    for _ in range(2):
        raises(e4.TimestampTooOld, bench.client.unprotect, old, TOPIC)
        bench.restart()
    assert bench.client.floor == bench.clock.now + 86400


def test_our_own_timestamps_are_not_later_than_the_clock():
    bench = Recorder()
    # The clock of C2 is 50 seconds ahead of the board's clock.
    bench.clock.now += 50
    bench.command(commands.set_topic_key(KEY_A, TOPIC))
    bench.clock.now -= 50
    payload = bench.client.protect_message(b"x", TOPIC)
    assert int.from_bytes(payload[:8], "little") == bench.clock.now


def test_an_authentic_command_may_set_the_clock():
    bench = Recorder()
    offered = []

    def unset():
        if not offered:
            raise e4.ClockNotSet("unset")
        return offered[-1]

    def take(timestamp):
        offered.append(timestamp)
        return True

    now = bench.clock.now
    payload = e4.protect(commands.set_topic_key(KEY_A, TOPIC), ID_KEY, now)
    bench.client = e4.Client(ID, None, bench.store, unset)
    raises(e4.ClockNotSet, bench.play, payload)
    bench.client = e4.Client(ID, None, bench.store, unset, evidence=lambda timestamp: False)
    raises(e4.ClockNotSet, bench.play, payload)
    bench.client = e4.Client(ID, None, bench.store, unset, evidence=take)
    raises(e4.NotAuthentic, bench.play, e4.protect(commands.reset_topics(), KEY_C, now))
    assert offered == []
    bench.play(payload)
    assert offered == [now]
    assert bench.client.holds_key(TOPIC)
    # The clock of the board has stood still for an hour since.
    bench.play(e4.protect(commands.reset_topics(), ID_KEY, now + 3600))
    assert offered == [now, now + 3600]
    raises(e4.TimestampTooOld, bench.play, e4.protect(commands.reset_topics(), ID_KEY, now))


def test_a_copy_of_the_last_command_is_evidence_for_a_clock_that_is_not_set():
    bench = Recorder()
    bench.command(commands.set_topic_key(KEY_A, TOPIC))
    bench.clock.now += 5
    bench.command(commands.set_id_key(KEY_B))
    retained = bench.recorded[-1]
    before = bench.state()
    offered = []

    def unset():
        raise e4.ClockNotSet("unset")

    # After a power cut the board does not know the time, and the broker delivers the retained command again.
    bench.client = e4.Client(ID, None, bench.store, unset, evidence=offered.append)
    assert bench.play(retained) is None
    assert offered == [bench.clock.now]
    # A copy must be authentic, and older commands are no evidence.
    raises(e4.NotAuthentic, bench.play, retained[:-1] + bytes((retained[-1] ^ 1,)))
    raises(e4.ClockNotSet, bench.play, bench.recorded[0])
    assert offered == [bench.clock.now]
    assert bench.client.applied == 0 and bench.state() == before
    # A clock that is set needs no evidence, and a client without use for it ignores the copy.
    bench.client = e4.Client(ID, None, bench.store, bench.clock, evidence=offered.append)
    assert bench.play(retained) is None
    bench.client = e4.Client(ID, None, bench.store, unset)
    assert bench.play(retained) is None
    assert len(offered) == 1


def test_a_copy_of_a_message_is_refused():
    bench = _rotate_keys()
    now = bench.clock.now
    messages = [e4.protect(bytes((i,)), KEY_C, now - i) for i in range(50)] + [e4.protect(b"x", KEY_B, now)]
    for payload in messages:
        bench.client.unprotect(payload, TOPIC)
    for wait in (0, 300, 300):
        bench.clock.now += wait
        for payload in messages:
            try:
                bench.client.unprotect(payload, TOPIC)
            except (e4.Replayed, e4.TimestampTooOld):
                continue
            raise AssertionError("a copy was accepted")


def test_what_is_not_authentic_is_not_remembered():
    bench = _rotate_keys()
    payload = e4.protect(b"x", KEY_C, bench.clock.now)
    raises(e4.NotAuthentic, bench.client.unprotect, payload[:-1] + bytes((payload[-1] ^ 1,)), TOPIC)
    assert bench.client.unprotect(payload, TOPIC) == b"x"


def test_when_the_memory_is_full_what_may_be_a_copy_is_refused():
    bench = Recorder(remembered=8)
    bench.command(commands.set_topic_key(KEY_A, TOPIC))
    start = bench.clock.now
    early = e4.protect(b"never seen", KEY_A, start)
    sent = []
    for _ in range(20):
        bench.clock.now += 1
        sent.append(e4.protect(b"x", KEY_A, bench.clock.now))
        bench.client.unprotect(sent[-1], TOPIC)
    for payload in sent[-8:]:
        raises(e4.Replayed, bench.client.unprotect, payload, TOPIC)
    for payload in sent[:-8] + [early]:
        raises(e4.PerhapsReplayed, bench.client.unprotect, payload, TOPIC)


def test_a_burst_above_the_memory_still_arrives():
    bench = Recorder(remembered=8)
    bench.command(commands.set_topic_key(KEY_A, TOPIC))
    sent = [e4.protect(bytes((i,)), KEY_A, bench.clock.now) for i in range(100)]
    for payload in sent:
        bench.client.unprotect(payload, TOPIC)
    bench.clock.now += 2
    for payload in sent[:-8]:
        raises(e4.PerhapsReplayed, bench.client.unprotect, payload, TOPIC)
    for payload in sent[-8:]:
        raises(e4.Replayed, bench.client.unprotect, payload, TOPIC)


def test_the_memory_holds_just_what_it_was_given():
    copies = RecentMessages(5)
    payloads = [i.to_bytes(8, "little") + os.urandom(8) for i in range(40)]
    for i, payload in enumerate(payloads):
        assert copies.classify(payload) != _COPY
        copies.add(payload)
        for j in range(i + 1):
            assert (copies.classify(payloads[j]) == _COPY) == (j > i - 5)
    last = payloads[-1]
    assert copies.classify(bytes((last[0] ^ 0x80,)) + last[1:]) != _COPY
    assert copies.classify(last[:3] + bytes((last[3] ^ 0x80,)) + last[4:]) != _COPY
    assert copies.classify(last[:15] + bytes((last[15] ^ 0x80,))) != _COPY
    assert copies.classify(memoryview(last + b"ciphertext")) == _COPY


def test_what_can_no_longer_be_told_apart_is_not_sent():
    sender, receiver = Bench(), Bench()
    for bench in (sender, receiver):
        bench.command(commands.set_topic_key(KEY_A, TOPIC))
    refused = 0
    # Two messages are sent in each second.
    for i in range(400):
        sender.clock.now = receiver.clock.now = 1774894944 + i // 2
        try:
            payload = sender.client.protect_message(b"pressed", TOPIC)
        except e4.SentTooOften:
            refused += 1
            continue
        assert receiver.client.unprotect(payload, TOPIC) == b"pressed"
    assert 0 < refused < 200
    sender.client.protect_message(b"pressed again", TOPIC)


def test_equal_messages_of_one_second_stay_distinguishable():
    sender, receiver = Bench(), Bench()
    for bench in (sender, receiver):
        bench.command(commands.set_topic_key(KEY_A, TOPIC))
    payloads = [sender.client.protect_message(b"pressed", TOPIC) for _ in range(30)]
    assert len(set(payloads)) == 30
    now = sender.clock.now
    for payload in payloads:
        assert now - 30 < int.from_bytes(payload[:8], "little") <= now
        assert receiver.client.unprotect(payload, TOPIC) == b"pressed"
