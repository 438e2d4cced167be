"""A client does not accept anything twice, and its time does not run backwards."""

from cryptolib import aes

import e4
from e4 import commands
from e4.recent_messages import RecentMessages
from helpers.portable.client_bench import ID, ID_KEY, KEY_A, KEY_B, KEY_C, TOPIC, Bench
from helpers.portable.support import Clock, Dice, raises


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
    dice = Dice(1)
    for size in (1, 2, 5):
        recent = RecentMessages(size)
        payloads = [i.to_bytes(8, "little") + dice.bytes(17 + i) for i in range(1, 40)]
        for i, payload in enumerate(payloads):
            recent.check(payload, 0)
            recent.add(payload)
            for j in range(i + 1):
                raises(e4.PerhapsReplayed if j <= i - size else e4.Replayed, recent.check, payloads[j], 5)
        raises(e4.Replayed, recent.check, memoryview(payloads[-1]), 0)


def test_every_bit_of_a_payload_makes_it_another_one():
    recent = RecentMessages(8)
    # The longer ones take a buffer that is not kept.
    for size in (25, 32, 33, 1088, 3000):
        payload = (5000 + size).to_bytes(8, "little") + Dice(size).bytes(size - 8)
        recent.check(payload, 0)
        recent.add(payload)
        for at in list(range(0, size, 97)) + [0, 3, 4, 7, 8, 16, 23, 24, size - 1]:
            altered = bytearray(payload)
            altered[at] ^= 0x80
            recent.check(altered, 0)
        recent.check(payload + b"\x80", 0)
        recent.check(payload + b"\0", 0)
        raises(e4.Replayed, recent.check, payload, 0)


def test_a_failure_in_between_does_not_make_the_memory_forget():
    recent = RecentMessages(4)
    payload = bytes(range(40))
    recent.check(payload, 0)
    recent.add(payload)
    try:
        recent.check([None] * 40, 0)
        raise AssertionError("a list was taken for a payload")
    except (TypeError, NotImplementedError):
        pass
    raises(e4.Replayed, recent.check, payload, 0)


class Topic:
    """A client that listens to one topic, and whoever has the key of that topic."""

    def __init__(self, **settings):
        self.bench = Recorder(**settings)
        self.bench.command(commands.set_topic_key(KEY_A, TOPIC))
        self.clock = self.bench.clock
        self.count = 0

    def make(self, age, count=1):
        """Return messages that all differ, stamped so many seconds ago."""
        self.count += count
        return [e4.protect(b"%d" % i, KEY_A, self.clock.now - age) for i in range(self.count - count, self.count)]

    def hear(self, payload):
        self.bench.client.unprotect(payload, TOPIC)

    def hear_all(self, payloads):
        """Return the payloads that were accepted. All others must be refused with PerhapsReplayed."""
        accepted = []
        for payload in payloads:
            try:
                self.hear(payload)
                accepted.append(payload)
            except e4.PerhapsReplayed:
                pass
        return accepted

    def refuse_all(self, payloads):
        """Check that each of these payloads is refused as a copy, or because it may be one."""
        for payload in payloads:
            try:
                self.hear(payload)
            except (e4.Replayed, e4.TimestampTooOld):
                continue
            raise AssertionError("a copy was accepted")


def test_messages_from_the_future_do_not_shut_out_the_present():
    for size, ahead in ((1, 1), (1, 60), (2, 59), (8, 1), (32, 1), (32, 59)):
        topic = Topic(remembered=size)
        known = topic.hear_all(topic.make(0, size // 4))
        assert len(known) == size // 4
        flood = topic.hear_all(topic.make(-ahead, size + 5))
        assert len(flood) == (size + 1) // 2
        topic.refuse_all(flood + known)
        # Another sender is honest, and its clock lags behind by up to two seconds.
        for wait in (1, 1, 57, 1, 1, 1, 1):
            topic.clock.now += wait
            for age in (2, 0, 1) if size > 8 else (0,):
                topic.hear(topic.make(age)[0])
        # In a memory for one or two, the present soon takes the place of what is known of its second.
        if size > 2:
            topic.refuse_all(flood + known)


def test_a_flood_from_the_future_that_goes_on_does_not_shut_out_the_present():
    topic = Topic(remembered=64)
    heard = []
    for second in range(12):
        topic.clock.now += 1
        for ahead in (1, 60, 1 + 5 * second):
            heard += topic.hear_all(topic.make(-ahead, 4))
        for age in (2, 0, 1):
            honest = topic.make(age)[0]
            topic.hear(honest)
            heard.append(honest)
    topic.refuse_all(heard)


def test_more_than_the_memory_holds_from_the_future_does_not_make_a_client_deaf():
    topic = Topic()
    assert len(topic.hear_all(topic.make(-59, 300))) == 128
    for _ in range(3):
        topic.hear(topic.make(0)[0])
        topic.clock.now += 1


def test_what_is_stamped_long_ago_does_not_shut_out_the_present():
    topic = Topic(remembered=16)
    for age in (600, 300, 2):
        topic.hear_all(topic.make(age, 40))
        topic.hear(topic.make(1)[0])
        topic.hear(topic.make(0)[0])


def test_the_earliest_message_is_forgotten_and_not_the_first():
    topic = Topic(remembered=4)
    early = topic.hear_all(topic.make(100) + topic.make(50))
    late = topic.hear_all(topic.make(10, 3))
    later = topic.hear_all(topic.make(60))
    raises(e4.PerhapsReplayed, topic.hear, early[0])
    raises(e4.PerhapsReplayed, topic.hear, later[0])
    for payload in late + early[1:]:
        raises(e4.Replayed, topic.hear, payload)
    raises(e4.PerhapsReplayed, topic.hear, topic.make(60)[0])
    topic.hear(topic.make(59)[0])


def test_a_burst_is_accepted_only_where_one_second_fills_the_memory():
    topic = Topic(remembered=8)
    topic.hear_all(topic.make(-30, 4))
    burst = topic.hear_all(topic.make(0, 50))
    assert len(burst) == 50
    # Here the memory is full as well, but of several seconds.
    topic = Topic(remembered=8)
    known = topic.hear_all(topic.make(0, 4)) + topic.hear_all(topic.make(-30, 4))
    topic.clock.now += 1
    known += topic.hear_all(topic.make(0))
    assert len(known) == 9
    topic.refuse_all(known)
    # These fill the memory, and the clock is then set back: each message of the present is forgotten at once.
    topic = Topic(remembered=8)
    topic.hear_all(topic.make(0, 8))
    topic.clock.now -= 20
    present = topic.hear_all(topic.make(0, 3))
    assert len(present) == 1
    topic.refuse_all(present)


def test_a_decoy_with_the_same_tag_does_not_replace_a_message():
    # The first two blocks are changed so that their CMAC stays what it was. That takes the topic's key.
    ecb = aes(KEY_A, 1)
    for n in (48, 50, 100):
        message = b"the door of the lab is open ".join((b"",) * 9)[:n]
        decoy = bytearray(message)
        decoy[:16] = b"anything at all."
        for i in range(16):
            decoy[16 + i] ^= ecb.encrypt(message[:16])[i] ^ ecb.encrypt(bytes(decoy[:16]))[i]
        for first, second in ((message, bytes(decoy)), (bytes(decoy), message)):
            topic = Topic()
            payloads = [e4.protect(text, KEY_A, topic.clock.now) for text in (first, second)]
            assert payloads[0][:24] == payloads[1][:24] and payloads[0] != payloads[1]
            for payload in payloads:
                topic.hear(payload)
            for payload in payloads:
                raises(e4.Replayed, topic.hear, payload)


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


def test_no_bytes_are_sent_twice_however_much_is_sent_in_a_second():
    bench = Bench()
    bench.command(commands.set_topic_key(KEY_A, TOPIC))
    sent = set()
    count = 0
    for i in range(200):
        sent.add(bench.client.protect_message(b"%d" % i, TOPIC)[:16])
        count += 1
        if i % 50 == 0:
            try:
                sent.add(bench.client.protect_message(b"again", TOPIC)[:16])
                count += 1
            except e4.SentTooOften:
                pass
    assert len(sent) == count > 201


def test_a_clock_that_was_set_back_does_not_keep_a_client_from_sending():
    bench = Bench()
    bench.command(commands.set_topic_key(KEY_A, TOPIC))
    bench.clock.now += 20000
    for i in range(100):
        bench.clock.now += 1
        bench.client.protect_message(b"%d" % i, TOPIC)
    for step in (10, 100, 1000):
        bench.clock.now -= step
        sent = [bench.client.protect_message(b"x%d" % i, TOPIC) for i in range(70)]
        assert len(set(sent)) == 70


def test_what_another_client_has_said_in_this_second_is_said_with_other_bytes():
    alice, bob, carol = Bench(), Bench(), Bench()
    for bench in (alice, bob, carol):
        bench.command(commands.set_topic_key(KEY_A, TOPIC))
    everybody = (alice, bob, carol)
    for second in range(10):
        for bench in everybody:
            bench.clock.now += 1
        for sender in everybody[: 1 + second % 3]:
            payload = sender.client.protect_message(b"on", TOPIC)
            for bench in everybody:
                assert bench.client.unprotect(payload, TOPIC) == b"on"
