"""The client: what it accepts, what it refuses, and that a refusal changes nothing."""

import e4
from e4 import client as module
from e4 import commands
from helpers.portable.client_bench import ID, ID_KEY, KEY_A, KEY_B, KEY_C, TOPIC, Bench
from helpers.portable.support import Clock, Dice, raises


def _bench_with_keys(*keys, **settings):
    bench = Bench(**settings)
    for key in keys:
        assert bench.command(commands.set_topic_key(key, TOPIC)) is None
    return bench


def test_two_clients_talk():
    alice, bob = _bench_with_keys(KEY_A), _bench_with_keys(KEY_A)
    payload = alice.client.protect_message(b"21.5 C", TOPIC)
    assert len(payload) == 6 + 24
    assert bob.client.unprotect(payload, TOPIC) == b"21.5 C"
    assert bob.client.unprotect(alice.client.protect_message(b"22 C", TOPIC), TOPIC.encode()) == b"22 C"


def test_text_is_sent_as_utf8():
    bench = _bench_with_keys(KEY_A)
    assert bench.client.unprotect(bench.client.protect_message("21,5 °C", TOPIC), TOPIC) == "21,5 °C".encode()


def test_without_the_topic_key_nothing_goes():
    bench = Bench()
    error = raises(e4.TopicKeyNotFound, bench.client.protect_message, b"x", TOPIC)
    assert str(error) == "topic key not found"
    bench.refused(e4.TopicKeyNotFound, e4.protect(b"x", KEY_A, bench.clock.now), TOPIC)


def test_the_window():
    bench = _bench_with_keys(KEY_A)
    now = bench.clock.now
    for age in (0, 599, 600, -60):
        assert bench.client.unprotect(e4.protect(b"x", KEY_A, now - age), TOPIC) == b"x"
    for age in (601, 86400, now):
        bench.refused(e4.TimestampTooOld, e4.protect(b"x", KEY_A, now - age), TOPIC)
    for ahead in (61, 86400, 1 << 40):
        bench.refused(e4.TimestampInFuture, e4.protect(b"x", KEY_A, now + ahead), TOPIC)
    bench.refused(e4.TimestampInFuture, b"\xff" * 40, TOPIC)


def test_the_window_is_a_setting():
    bench = _bench_with_keys(KEY_A, max_age=5, future_tolerance=0)
    now = bench.clock.now
    assert bench.client.unprotect(e4.protect(b"x", KEY_A, now - 5), TOPIC) == b"x"
    bench.refused(e4.TimestampTooOld, e4.protect(b"x", KEY_A, now - 6), TOPIC)
    bench.refused(e4.TimestampInFuture, e4.protect(b"x", KEY_A, now + 1), TOPIC)


def test_refusals_come_in_the_reference_order():
    bench = _bench_with_keys(KEY_A)
    bench.refused(e4.TooShort, b"", TOPIC)
    bench.refused(e4.TooShort, bytes(24), TOPIC)
    bench.refused(e4.TimestampTooOld, bytes(25), TOPIC)
    bench.refused(e4.NotAuthentic, bench.clock.now.to_bytes(8, "little") + bytes(17), TOPIC)


def test_an_empty_message_is_refused_where_it_is_sent():
    raises(e4.TooShort, _bench_with_keys(KEY_A).client.protect_message, b"", TOPIC)


def test_commands_steer_the_topics():
    bench = _bench_with_keys(KEY_A)
    bench.command(commands.set_topic_key(KEY_B, "other"))
    bench.command(commands.remove_topic(TOPIC))
    raises(e4.TopicKeyNotFound, bench.client.protect_message, b"x", TOPIC)
    bench.client.protect_message(b"x", "other")
    bench.command(commands.set_topic_key(KEY_A, TOPIC))
    bench.command(commands.reset_topics())
    for topic in (TOPIC, "other"):
        raises(e4.TopicKeyNotFound, bench.client.protect_message, b"x", topic)
    assert bench.client.holds_key(TOPIC) is False


def test_removing_what_is_not_there_is_no_error():
    bench = Bench()
    assert bench.command(commands.remove_topic(TOPIC)) is None
    assert bench.command(commands.reset_topics()) is None


def test_the_previous_key_unprotects_for_an_hour_and_never_protects():
    bench = _bench_with_keys(KEY_A, KEY_B)
    bench.clock.now += 3600
    now = bench.clock.now
    assert bench.client.unprotect(e4.protect(b"late", KEY_A, now), TOPIC) == b"late"
    assert bench.client.unprotect(e4.protect(b"new", KEY_B, now), TOPIC) == b"new"
    assert e4.unprotect(bench.client.protect_message(b"x", TOPIC), KEY_B, now) == b"x"
    bench.clock.now += 1
    bench.refused(e4.NotAuthentic, e4.protect(b"late", KEY_A, bench.clock.now), TOPIC)


def test_the_hour_of_the_previous_key_begins_when_the_command_was_sent():
    bench = _bench_with_keys(KEY_A, max_command_age=None)
    sent = bench.clock.now
    bench.clock.now += 3000
    bench.client.unprotect(
        e4.protect(commands.set_topic_key(KEY_B, TOPIC), ID_KEY, sent + 1), bench.client.receiving_topic
    )
    bench.clock.now = sent + 3601
    assert bench.client.unprotect(e4.protect(b"late", KEY_A, bench.clock.now), TOPIC) == b"late"
    bench.clock.now += 1
    bench.refused(e4.NotAuthentic, e4.protect(b"late", KEY_A, bench.clock.now), TOPIC)
    # A client that was away for longer than that does not accept the previous key at all.
    bench.clock.now += 9000
    bench.client.unprotect(
        e4.protect(commands.set_topic_key(KEY_C, TOPIC), ID_KEY, sent + 2), bench.client.receiving_topic
    )
    bench.refused(e4.NotAuthentic, e4.protect(b"late", KEY_B, bench.clock.now), TOPIC)


def test_the_transition_is_a_setting_and_0_is_none():
    for seconds in (1, 0):
        bench = _bench_with_keys(KEY_A, KEY_B, key_transition=seconds)
        late = e4.protect(b"late", KEY_A, bench.clock.now)
        if seconds:
            assert bench.client.unprotect(late, TOPIC) == b"late"
        bench.clock.now += seconds + 1 if seconds else 0
        bench.refused(e4.NotAuthentic, e4.protect(b"later", KEY_A, bench.clock.now), TOPIC)
        assert bench.client.unprotect(e4.protect(b"new", KEY_B, bench.clock.now), TOPIC) == b"new"


def test_only_one_previous_key_is_kept():
    bench = _bench_with_keys(KEY_A, KEY_B, KEY_C)
    bench.refused(e4.NotAuthentic, e4.protect(b"x", KEY_A, bench.clock.now), TOPIC)
    assert bench.client.unprotect(e4.protect(b"x", KEY_B, bench.clock.now), TOPIC) == b"x"


def test_the_same_key_again_changes_nothing():
    bench = _bench_with_keys(KEY_A, KEY_B)
    before = bench.keys()
    bench.clock.now += 600
    bench.command(commands.set_topic_key(KEY_B, TOPIC))
    assert bench.keys() == before


def test_remove_topic_forgets_the_previous_key_too():
    bench = _bench_with_keys(KEY_A, KEY_B)
    bench.command(commands.remove_topic(TOPIC))
    bench.command(commands.set_topic_key(KEY_C, TOPIC))
    bench.refused(e4.NotAuthentic, e4.protect(b"x", KEY_A, bench.clock.now), TOPIC)
    bench.refused(e4.NotAuthentic, e4.protect(b"x", KEY_B, bench.clock.now), TOPIC)


def test_set_id_key_replaces_the_key_that_commands_need():
    bench = Bench()
    bench.command(commands.set_id_key(KEY_B))
    bench.id_key = KEY_B
    bench.command(commands.set_topic_key(KEY_A, TOPIC))
    assert bench.client.holds_key(TOPIC)
    old = e4.protect(commands.reset_topics(), ID_KEY, bench.clock.now)
    bench.refused(e4.NotAuthentic, old, bench.client.receiving_topic)


def test_set_id_key_cannot_cut_a_board_off():
    bench = Bench()
    # C2 never learns that these keys have arrived, and so it goes on using the old one.
    for lost in (KEY_A, KEY_B, KEY_C):
        bench.clock.now += 1
        bench.command(commands.set_id_key(lost))
        bench.command(commands.set_topic_key(lost, TOPIC))
    again = e4.Client(ID, ID_KEY, bench.store, bench.clock)
    bench.clock.now += 1
    again.unprotect(e4.protect(commands.remove_topic(TOPIC), ID_KEY, bench.clock.now), again.receiving_topic)
    again.unprotect(e4.protect(commands.set_topic_key(KEY_A, TOPIC), KEY_C, bench.clock.now), again.receiving_topic)
    raises(e4.NotAuthentic, again.unprotect, old_reset(bench), again.receiving_topic)


def old_reset(bench):
    return e4.protect(commands.reset_topics(), ID_KEY, bench.clock.now)


def test_the_receiving_topic_takes_no_topic_key():
    for topic in (None, "plant/7/commands"):
        bench = Bench(receiving_topic=topic)
        plain = commands.set_topic_key(KEY_A, bench.client.receiving_topic)
        payload = e4.protect(plain, ID_KEY, bench.clock.now)
        bench.refused(e4.InvalidCommand, payload, bench.client.receiving_topic)


def test_bad_commands_change_nothing():
    bench = _bench_with_keys(KEY_A)
    for plain in (b"\x00" + b"h" * 15, b"\x01x", b"\x02" + bytes(32), b"\x03" + b"k" * 47, b"\x08", b"\xff" * 80):
        payload = e4.protect(plain, ID_KEY, bench.clock.now)
        bench.refused(e4.InvalidCommand, payload, bench.client.receiving_topic)
    for plain in (b"\x04" + b"i" * 16, b"\x05", b"\x06" + b"k" * 48, b"\x07" + b"k" * 32):
        payload = e4.protect(plain, ID_KEY, bench.clock.now)
        bench.refused(e4.UnsupportedCommand, payload, bench.client.receiving_topic)
    bench.client.protect_message(b"still there", TOPIC)


def test_a_message_is_no_command_and_a_command_no_message():
    bench = _bench_with_keys(KEY_A)
    as_message = e4.protect(commands.reset_topics(), KEY_A, bench.clock.now)
    bench.refused(e4.NotAuthentic, as_message, bench.client.receiving_topic)
    as_command = e4.protect(commands.reset_topics(), ID_KEY, bench.clock.now)
    bench.refused(e4.NotAuthentic, as_command, TOPIC)


def test_a_custom_receiving_topic_is_kept():
    bench = _bench_with_keys(KEY_A, receiving_topic="plant/7/commands")
    assert bench.client.receiving_topic == "plant/7/commands"
    again = e4.Client(ID, None, bench.store, bench.clock)
    assert again.receiving_topic == "plant/7/commands"
    standard = e4.protect(commands.reset_topics(), ID_KEY, bench.clock.now)
    raises(e4.TopicKeyNotFound, again.unprotect, standard, e4.receiving_topic(ID))


def test_the_store_brings_everything_back():
    bench = _bench_with_keys(KEY_A, KEY_B)
    bench.command(commands.set_id_key(KEY_C))
    # The ID key in the store has changed since. A configuration may name no key, the first one or the present one.
    for key in (None, ID_KEY, KEY_C):
        bench.client = e4.Client(ID, key, bench.store, bench.clock)
        bench.id_key = KEY_C
        assert bench.client.unprotect(e4.protect(b"x", KEY_A, bench.clock.now), TOPIC) == b"x"
        bench.command(commands.set_topic_key(KEY_B, TOPIC))


def test_a_store_is_not_taken_over():
    bench = _bench_with_keys(KEY_A)
    before = bench.records()
    raises(e4.InvalidKey, e4.Client, ID, KEY_B, bench.store, bench.clock)
    raises(e4.StoreError, e4.Client, e4.id_of("another"), ID_KEY, bench.store, bench.clock)
    raises(e4.InvalidKey, e4.Client, ID, bytes(32), bench.store, bench.clock)
    raises(e4.InvalidKey, e4.Client, ID, None, e4.MemoryStore(), bench.clock)
    assert bench.records() == before


class FullStore(e4.MemoryStore):
    """A store that refuses changes while `full` is true.

    `written` counts the commits. Each of them would write to flash.
    """

    full = False
    written = 0

    def commit(self, changes, clear=False):
        if self.full:
            raise e4.StoreError("no space left")
        self.written += 1
        super().commit(changes, clear)


def test_a_failing_store_changes_nothing_in_memory():
    clock, store = Clock(), FullStore()
    client = e4.Client(ID, ID_KEY, store, clock)
    topic = client.receiving_topic
    client.unprotect(e4.protect(commands.set_topic_key(KEY_A, TOPIC), ID_KEY, clock.now), topic)
    store.full = True
    for plain in (commands.set_topic_key(KEY_B, TOPIC), commands.set_id_key(KEY_C), commands.reset_topics()):
        raises(e4.StoreError, client.unprotect, e4.protect(plain, ID_KEY, clock.now), topic)
    store.full = False
    assert client.applied == 1
    assert client.unprotect(e4.protect(b"x", KEY_A, clock.now), TOPIC) == b"x"
    client.unprotect(e4.protect(commands.remove_topic(TOPIC), ID_KEY, clock.now), topic)
    assert client.applied == 2


def test_without_the_time_nothing_is_accepted_or_protected():
    bench = _bench_with_keys(KEY_A)
    payload = e4.protect(b"x", KEY_A, bench.clock.now)

    def unset():
        raise e4.ClockNotSet("the time is not known")

    client = e4.Client(ID, None, bench.store, unset)
    raises(e4.ClockNotSet, client.unprotect, payload, TOPIC)
    raises(e4.ClockNotSet, client.unprotect, payload, client.receiving_topic)
    raises(e4.ClockNotSet, client.protect_message, b"x", TOPIC)


def test_more_topics_than_are_kept_ready():
    bench = Bench()
    topics = ["t/{}".format(i) for i in range(12)]
    for i, topic in enumerate(topics):
        bench.command(commands.set_topic_key(bytes((i + 1,)) * 32, topic))
    for _ in range(2):
        for i, topic in enumerate(topics):
            payload = bench.client.protect_message(b"x", topic)
            assert e4.unprotect(payload, bytes((i + 1,)) * 32, bench.clock.now) == b"x"


def test_any_bytes_give_an_e4_error():
    bench = _bench_with_keys(KEY_A)
    dice = Dice(5)
    stamp = bench.clock.now.to_bytes(8, "little")
    before = bench.records()
    for _ in range(200):
        noise = dice.bytes(dice.below(90))
        for payload in (noise, stamp + noise):
            for topic in (TOPIC, bench.client.receiving_topic, "unknown"):
                try:
                    bench.client.unprotect(payload, topic)
                except e4.E4Error:
                    continue
                raise AssertionError("noise was accepted")
    assert bench.records() == before


def test_a_failure_before_the_store_is_asked_changes_nothing():
    # Everything that can fail for lack of memory must happen before the commit.
    bench = _bench_with_keys(KEY_A)

    real = module.SIV

    def exhausted(*_keys):
        raise MemoryError("no memory for a cipher")

    payload = e4.protect(commands.set_id_key(KEY_C), ID_KEY, bench.clock.now)
    module.SIV = exhausted
    try:
        bench.refused(MemoryError, payload, bench.client.receiving_topic)
    finally:
        module.SIV = real
    assert bench.client.unprotect(payload, bench.client.receiving_topic) is None


def test_the_standard_receiving_topic_can_be_restored():
    bench = _bench_with_keys(KEY_A, receiving_topic="plant/7/commands")
    again = e4.Client(ID, None, bench.store, bench.clock, receiving_topic=e4.receiving_topic(ID))
    assert again.receiving_topic == e4.receiving_topic(ID)


def test_damaged_records_are_told_apart_and_kept():
    for name, record in ((b"id", ID), (b"id", ID + bytes(40)), (b"t" + e4.topic_hash(TOPIC), b"short")):
        bench = _bench_with_keys(KEY_A)
        bench.store.commit({name: record})
        before = bench.records()
        try:
            client = e4.Client(ID, None, bench.store, bench.clock)
            raises(e4.StoreCorrupt, client.protect_message, b"x", TOPIC)
        except e4.StoreCorrupt:
            pass
        assert bench.records() == before


def test_a_damaged_topic_key_is_mended_by_another_one():
    bench = _bench_with_keys(KEY_A)

    class Damaged(e4.MemoryStore):
        def get(self, name):
            if name[:1] == b"t" and name not in self.mended:
                raise e4.StoreCorrupt("damaged")
            return super().get(name)

        def commit(self, changes, clear=False):
            super().commit(changes, clear)
            self.mended = list(changes)

    store = Damaged()
    store.commit(bench.records())
    store.mended = []
    client = e4.Client(ID, None, store, bench.clock)
    raises(e4.StoreCorrupt, client.protect_message, b"x", TOPIC)
    bench.clock.now += 1
    client.unprotect(e4.protect(commands.set_topic_key(KEY_B, TOPIC), ID_KEY, bench.clock.now), client.receiving_topic)
    assert e4.unprotect(client.protect_message(b"x", TOPIC), KEY_B, bench.clock.now) == b"x"


def test_a_redelivered_command_writes_nothing():
    clock, store = Clock(), FullStore()
    client = e4.Client(ID, ID_KEY, store, clock)
    for plain in (commands.set_topic_key(KEY_A, TOPIC), commands.remove_topic("absent")):
        for _ in range(3):
            assert client.unprotect(e4.protect(plain, ID_KEY, clock.now), client.receiving_topic) is None
    # One commit is that of the identity, and the others are those of the two commands.
    assert store.written == 3
    assert client.applied == 2
