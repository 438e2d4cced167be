"""The parsers of the library that work in memory: payloads, plain commands, names, records."""

import e4
from e4 import commands, siv
from fuzz import mutation
from fuzz.mutation import chance, pick
from fuzz.parser import Parser, check

NOW = 1774894944  # a Unix time in seconds
CLIENT = e4.id_of("board")
KEY = bytes(range(1, 33))
PREVIOUS_KEY = b"previous" * 4
TOPIC = "sensors/lab"
TOPIC_KEY = b"t" * 32
RECEIVING = e4.receiving_topic(CLIENT)
_OTHER_KEY = b"somebody" * 4
COMMANDS = (
    commands.set_topic_key(b"u" * 32, TOPIC),
    commands.set_topic_key(b"v" * 32, "sensors/roof"),
    commands.set_topic_key(b"w" * 32, RECEIVING),
    commands.remove_topic(TOPIC),
    commands.reset_topics(),
    commands.set_id_key(b"n" * 32),
    b"\x03" + bytes(32) + e4.topic_hash(TOPIC),
    b"\x04" + bytes(16),
    b"\x05",
    b"\x06" + bytes(48),
    b"\x07" + bytes(32),
)
_MESSAGES = (b"21.5 C", b"x", b"y" * 15, b"z" * 16, b"0" * 17, bytes(1024), bytes(range(256)) * 5)


def stamp(dice):
    """Return a timestamp: mostly one that may be valid now, sometimes at a limit or far away."""
    kind = dice.below(8)
    if kind == 0:
        return pick(dice, mutation.NUMBERS) & 0xFFFFFFFFFFFFFFFF
    if kind == 1:
        return NOW + pick(dice, (-601, -600, -599, 59, 60, 61))
    return NOW - dice.below(200)


def payload(dice, plain, key):
    """Return a payload of these plain bytes.

    In half of the cases it is authentic whatever is in it, as if the tag of changed bytes had been computed anew. In
    the other half the protected bytes are changed.
    """
    sealed = siv.cipher(key).seal_stamped(plain, stamp(dice)) if plain else mutation.noise(dice, 60)
    return sealed if dice.below(2) else mutation.mutate(dice, (sealed,))


def records_of(store):
    """Return all records of a store by their names."""
    return {name: store.get(name) for name in store.names()}


class PlainCommand(Parser):
    """A plain command, as it is inside an authentic payload."""

    refusals = (e4.InvalidCommand, e4.UnsupportedCommand)

    def make(self, dice):
        return mutation.mutate(dice, COMMANDS, 80)

    def parse(self, given):
        opcode, key, hashed = commands.parse(given)
        check(bytes((opcode,)) + (key or b"") + (hashed or b"") == given, "the fields are not those of the command")


class Payload(Parser):
    """A payload for `e4.unprotect`, with a key that may be wrong."""

    refusals = (e4.InvalidKey, e4.TooShort, e4.TimestampInFuture, e4.TimestampTooOld, e4.NotAuthentic)

    def make(self, dice):
        key = pick(dice, (KEY, KEY, KEY, _OTHER_KEY, mutation.mutate(dice, (KEY,), 64)))
        return payload(dice, pick(dice, _MESSAGES), KEY), key

    def parse(self, given):
        sealed, key = given
        message = e4.unprotect(sealed, key, NOW)
        again = e4.protect(message, key, int.from_bytes(sealed[:8], "little"))
        check(again == sealed, "an accepted payload is protected in another way")


class Sealed(Parser):
    """The output of AES-SIV, with any number of strings of associated data."""

    refusals = (e4.InvalidKey, e4.TooShort, e4.NotAuthentic)

    def make(self, dice):
        ads = [mutation.noise(dice, 40) for _ in range(dice.below(4))]
        plain = mutation.mutate(dice, _MESSAGES)
        sealed = siv.cipher(KEY).seal(plain, *ads)
        if dice.below(3):
            sealed = mutation.mutate(dice, (sealed,))
        elif ads:
            ads[0] = mutation.mutate(dice, (ads[0],))
        return sealed, ads

    def parse(self, given):
        sealed, ads = given
        plain = siv.decrypt(KEY, ads[0], sealed) if len(ads) == 1 else siv.cipher(KEY).open(sealed, *ads)
        check(siv.cipher(KEY).seal(plain, *ads) == sealed, "what was opened is sealed in another way")


class Session(Parser):
    """Some payloads for `Client.unprotect`: messages, commands and noise, on topics that may be anything.

    The last payload decides whether the input counts as accepted.
    """

    refusals = (
        e4.TooShort,
        e4.TimestampTooOld,
        e4.TimestampInFuture,
        e4.Replayed,
        e4.PerhapsReplayed,
        e4.NotAuthentic,
        e4.TopicKeyNotFound,
        e4.InvalidTopic,
        e4.InvalidCommand,
        e4.UnsupportedCommand,
        e4.StoreError,
        e4.ClockNotSet,
    )

    def __init__(self):
        store = e4.MemoryStore()
        client = e4.Client(CLIENT, PREVIOUS_KEY, store, lambda: NOW)
        client.unprotect(e4.protect(commands.set_topic_key(TOPIC_KEY, TOPIC), PREVIOUS_KEY, NOW - 120), RECEIVING)
        client.unprotect(e4.protect(commands.set_id_key(KEY), PREVIOUS_KEY, NOW - 110), RECEIVING)
        self._records = records_of(store)

    def make(self, dice):
        arrivals = []
        for _ in range(1 + dice.below(3)):
            if arrivals and chance(dice, 4):
                arrivals.append(pick(dice, arrivals))
                continue
            if dice.below(2):
                plain = mutation.mutate(dice, COMMANDS, 80) if dice.below(2) else pick(dice, COMMANDS)
                key, topic = pick(dice, (KEY, KEY, PREVIOUS_KEY, _OTHER_KEY)), RECEIVING
            else:
                plain, key, topic = pick(dice, _MESSAGES), pick(dice, (TOPIC_KEY, TOPIC_KEY, KEY)), TOPIC
            if chance(dice, 8):
                topic = pick(
                    dice, (TOPIC, RECEIVING, None, 7, mutation.text(dice), mutation.mutate(dice, (TOPIC.encode(),)))
                )
            arrivals.append((payload(dice, plain, key), topic))
        return pick(dice, (NOW, NOW, NOW, None)), arrivals

    def parse(self, given):
        now, arrivals = given
        store = e4.MemoryStore()
        store.commit(self._records)

        def clock():
            if now is None:
                raise e4.ClockNotSet("the time is not known")
            return now

        client = e4.Client(CLIENT, None, store, clock)
        for number, (sealed, topic) in enumerate(arrivals):
            before = records_of(store), client.applied, client.floor
            try:
                message = client.unprotect(sealed, topic)
                check(message is None or len(message) == len(sealed) - 24, "a message has another length")
                check(message is None or before[0] == records_of(store), "a message has changed the store")
            except e4.E4Error as error:
                check(before == (records_of(store), client.applied, client.floor), "what was refused has changed it")
                if number == len(arrivals) - 1 or not self.is_refusal(error):
                    raise


class Name(Parser):
    """Names, topics and IDs, as text or bytes."""

    refusals = (e4.InvalidName, e4.InvalidTopic)
    _samples = (b"alice", b"sensors/lab", CLIENT, "größe/ä€".encode(), b"x" * 255, b"y" * 512, "€".encode() * 170)
    _functions = (e4.topic_hash, e4.id_of, e4.receiving_topic)

    def make(self, dice):
        data = mutation.mutate(dice, self._samples, 600)
        if chance(dice, 10):
            return dice.below(2), pick(dice, (None, 7, [b"a"], 1.5))
        if dice.below(2):
            return dice.below(2), mutation.mutate_text(dice, ("alice", "sensors/lab", "größe/ä€", "x" * 255))
        return dice.below(3), pick(dice, (bytes, bytearray, memoryview))(data)

    def parse(self, given):
        which, name = given
        found = self._functions[which](name)
        if which < 2:
            check(len(found) == 16, "a hash has 16 bytes")
        else:
            check(found == RECEIVING or len(found) == len(RECEIVING), "a receiving topic has 35 characters")


class Records(Parser):
    """The records that a client finds in its store."""

    refusals = (
        e4.StoreCorrupt,
        e4.StoreError,
        e4.InvalidKey,
        e4.InvalidTopic,
        e4.TopicKeyNotFound,
        e4.NotAuthentic,
        e4.Replayed,
        e4.TimestampTooOld,
    )

    def __init__(self):
        self._samples = Session()._records
        self._values = list(self._samples.values())

    def make(self, dice):
        records = dict(self._samples)
        for _ in range(1 + dice.below(2)):
            records[pick(dice, list(sorted(records)))] = mutation.mutate(dice, self._values)
        return records, pick(dice, (None, None, KEY, PREVIOUS_KEY, _OTHER_KEY))

    def parse(self, given):
        records, key = given
        store = e4.MemoryStore()
        store.commit(records)
        client = e4.Client(CLIENT, key, store, lambda: NOW)
        try:
            check(len(client.prove_key(b"nonce")) == 32, "a proof has 32 bytes")
            if client.holds_key(TOPIC):
                client.protect_message(b"x", TOPIC)
                client.unprotect(e4.protect(b"y", TOPIC_KEY, NOW), TOPIC)
            client.unprotect(e4.protect(COMMANDS[1], KEY, NOW), client.receiving_topic)
        except e4.E4Error:
            check(records_of(store) == records, "a record that was refused has been changed")
            raise
