"""An E4 client in symmetric-key mode: its keys, the messages it protects and unprotects, the commands it applies."""

from e4 import commands, errors, names, protection, records
from e4._const import const
from e4.recent_messages import RecentMessages
from e4.siv import SIV, check_key

_KEY_TRANSITION = const(3600)  # seconds for which a replaced topic key still unprotects
_REMEMBERED = const(256)  # accepted messages of which a copy is refused; each takes 12 bytes
_CACHED_TOPICS = const(4)  # topics whose keys and cipher stay in memory; each takes about half a kilobyte
_FOR_COMMANDS = const("our receiving topic has no key: it is for commands")
# These are constants of `commands` and `protection`. A constant of another module would be looked up by its name at
# every use, which takes bytes in the file that a board loads.
_RESET_TOPICS = const(1)
_SET_ID_KEY = const(2)
_SET_TOPIC_KEY = const(3)
_OVERHEAD = const(24)  # bytes of timestamp and tag


def receive(  # noqa: PLR0913 (it stands between the host and a client, whose settings differ)
    payload: bytes,
    now: int,
    recent: RecentMessages,
    keys: tuple[SIV, bytes | None, int],
    max_age: int,
    future_tolerance: int,
    key_transition: int = _KEY_TRANSITION,
) -> bytes:
    """Return the message in a payload that arrived at `now`, in Unix seconds, and add it to the messages in `recent`.

    `keys` are those of its topic: the cipher of the current key, the previous key or None, and when that was replaced,
    in Unix seconds: the timestamp of the command that did it. The previous key counts for `key_transition` seconds,
    because senders learn of a new key at different times; with 0 it never counts. A replacement that lies further ahead
    than `future_tolerance` shows that the clock was set back. The replacement may then have happened at any time, so
    the previous key does not count.

    Raises TooShort, TimestampInFuture, TimestampTooOld, Replayed, PerhapsReplayed, NotAuthentic, in this order.
    """
    recent.check(payload, protection.check_fresh(payload, now, max_age, future_tolerance))
    siv, previous, changed_at = keys
    try:
        message = siv.open_stamped(payload)
    except errors.NotAuthentic:
        if previous is None or not key_transition or not -future_tolerance <= now - changed_at <= key_transition:
            raise
        message = SIV(previous).open_stamped(payload)
    # Only an authentic message is remembered. Otherwise anybody could fill the memory, and have messages refused.
    recent.add(payload)
    return message


class Client:
    """One client of a fleet: `protect_message` before publishing, `unprotect` for everything that arrives.

    `id` has 16 bytes and is usually `id_of(name)`. `key` is the client's 32-byte ID key. It may be None once the store
    holds the client: the store's key is the one that is used, because the command SetIDKey may have replaced the first
    one. `store` is what `store.py` describes. `clock` is a function that returns the time in Unix seconds, or raises
    ClockNotSet. (An ESP32's own `time.time()` counts from the year 2000: add 946684800.) `receiving_topic` is the topic
    on which commands arrive; it is written to the store when it is given.

    `max_age` is the age in seconds up to which a message is accepted, and `max_command_age` the same for a command, or
    None for no limit: a command is never applied twice, so a command for a board that was switched off may be late.
    `future_tolerance` is how many seconds a timestamp may lie ahead of the clock. `key_transition` is for how many
    seconds a replaced topic key still unprotects, counted from the timestamp of the command that replaced it; 0: not at
    all. `remembered` is the number of accepted messages of which a copy is refused.

    `evidence(timestamp)` is called for an authentic command if the clock is not set or is behind the command. It may
    set the clock to that time, and returns whether it has. It is also called for a copy of the last command if the
    clock is not set: the copy shows that the time is not earlier than its timestamp.

    The attribute `applied` counts the commands that were applied since this object was made.

    Raises InvalidName, InvalidKey and InvalidTopic for bad arguments, and ValueError for `remembered` below 1. Raises
    InvalidKey if `key` is neither the key that the store began with nor one that it holds, and StoreError if the store
    belongs to another client.

    Only one call may be in progress at a time: no method may be called from an interrupt or a thread while another one
    runs. The functions of `siv` may be called from there. A method that fails changes neither the client nor its store.
    Every method may read the store, and can then raise StoreError and StoreCorrupt.
    """

    def __init__(  # noqa: PLR0913 (one parameter for each setting, most of them optional)
        self,
        id: bytes,  # noqa: A002 (the interface's name for it)
        key: bytes | None,
        store,
        clock,
        receiving_topic: str | None = None,
        max_age: int = protection.MAX_AGE,
        future_tolerance: int = protection.FUTURE_TOLERANCE,
        key_transition: int = _KEY_TRANSITION,
        max_command_age: int | None = protection.MAX_AGE,
        remembered: int = _REMEMBERED,
        evidence=None,
    ) -> None:
        self.id = names.check_id(id)
        self._store = store
        self._clock = clock
        # The settings have the names of the parameters, also where only this class reads them: each further name would
        # take room in the file that a board loads.
        self.max_age = max_age
        self.future_tolerance = future_tolerance
        self.key_transition = key_transition
        self.max_command_age = max_command_age
        self.evidence = evidence
        self.applied = 0
        # The messages that were accepted, so that a copy of one is refused, and those that were sent, so that the same
        # bytes are not sent twice.
        self._recent = RecentMessages(remembered)
        # For some topics, by their bytes: cipher of the current key, previous key or None, time of the change. Every
        # command empties it, because the store may then hold other keys.
        self._topics: dict[bytes, tuple[SIV, bytes | None, int]] = {}
        # The cipher of the ID key, made when the first command arrives, and again after every command.
        self._siv: SIV | None = None
        # The timestamp of the last command applied; None after a command, until `floor` reads it from the store.
        self._floor: int | None = None
        before = records.get_identity(store, True)
        identity = self._check_owner(before, key)
        standard = names.receiving_topic(self.id).encode()
        if receiving_topic is not None:
            wanted = names.topic_bytes(receiving_topic)
            identity = identity[:4] + (b"" if wanted == standard else wanted,)
        self._floor = records.get_commands(store)[0]
        if identity != before:
            store.commit(records.put_identity({}, identity))
        self._receiving = identity[4] or standard
        self.receiving_topic = self._receiving.decode()

    def _check_owner(
        self, identity: tuple[bytes, bytes, bytes, bytes | None, bytes], key: bytes | None
    ) -> tuple[bytes, bytes, bytes, bytes | None, bytes]:
        """Return the identity, or a new one if its ID is empty. Raises StoreError, InvalidKey if it is not ours."""
        client_id, current, first, previous, _ = identity
        if not client_id:
            if key is None:
                raise errors.InvalidKey("the store holds no client yet: its ID key is needed")
            return self.id, check_key(key), protection.fingerprint(key), None, b""
        if client_id != self.id:
            raise errors.StoreError("the store belongs to another client")
        if key is not None and check_key(key) not in (current, previous) and protection.fingerprint(key) != first:
            raise errors.InvalidKey("the store holds another ID key; replace the store to use a new one")
        return identity

    @property
    def floor(self) -> int:
        """The timestamp of the last command applied, in Unix seconds, or 0. The time is never taken to be earlier."""
        if self._floor is None:
            self._floor = records.get_commands(self._store)[0]
        return self._floor

    def protect_message(self, message: bytes | str, topic: str | bytes) -> bytes:
        """Return `message` as it may be published on `topic`: 24 bytes longer, under the topic's current key.

        Receivers take the same bytes for a copy. So a message gets an earlier timestamp if this client has sent the
        same one in the same second before, or has accepted it from another client. Two clients that send the same
        message in the same second, before either has heard the other, still produce the same bytes, and receivers
        accept only one of them.

        Raises TopicKeyNotFound, InvalidTopic, ClockNotSet, TooShort for an empty message. Raises SentTooOften if the
        client cannot tell whether it has sent these bytes before. That happens if the same message comes more often
        than once a second for long, or if more than 1024 messages come in one second.
        """
        keys = self._topic_keys(topic)
        if keys is None:
            raise errors.TopicKeyNotFound(_FOR_COMMANDS)
        siv = keys[0]
        if isinstance(message, str):
            message = message.encode()
        # Receivers may accept no timestamp from the future, so the clock counts even if the last command was stamped a
        # little later.
        now = self._now(self.future_tolerance)
        shift = 0
        while True:
            payload = protection.seal(siv, message, now - shift)
            if self._recent.add_sent(payload, shift):
                return payload
            shift += 1

    def unprotect(self, payload: bytes, topic: str | bytes) -> bytes | None:
        """Return the message in `payload`, which arrived on `topic`, or None if it was a command.

        When None is returned, the command has been applied, now or earlier: a broker delivers a retained command again
        with every subscription.

        Raises TopicKeyNotFound, InvalidTopic, TooShort, TimestampInFuture, TimestampTooOld, NotAuthentic, Replayed
        (PerhapsReplayed), ClockNotSet; for a command also InvalidCommand, UnsupportedCommand, StoreError.
        """
        keys = self._topic_keys(topic)
        if keys is None:
            self._apply_payload(payload)
            return None
        return receive(
            payload, self._now(), self._recent, keys, self.max_age, self.future_tolerance, self.key_transition
        )

    def holds_key(self, topic: str | bytes) -> bool:
        """Return whether this client holds a key for `topic`. Raises InvalidTopic, StoreCorrupt."""
        return records.get_topic(self._store, names.topic_hash(topic)) is not None

    def prove_key(self, nonce: bytes) -> bytes:
        """Return the `protection.proof_of_key` of this client's ID key, for the nonce of whoever asks for the proof."""
        return protection.proof_of_key(records.get_identity(self._store)[1], nonce)

    def _now(self, tolerance: int = 0) -> int:
        """Return the time. Raises ClockNotSet.

        If the last command is stamped more than `tolerance` seconds later, its timestamp is returned instead.
        """
        now = int(self._clock())
        floor = self._floor
        if floor is None:
            floor = self.floor
        # The first comparison saves the sum in the usual case: Unix seconds are no small integers on a board, and the
        # sum would take heap for every message.
        return now if now >= floor or now + tolerance >= floor else floor

    def _topic_keys(self, topic: str | bytes) -> tuple[SIV, bytes | None, int] | None:
        """Return the cipher of a topic's key, the previous key, and when that was replaced.

        Returns None for the receiving topic. Raises TopicKeyNotFound, InvalidTopic, StoreCorrupt.
        """
        data = topic if isinstance(topic, bytes) else names.topic_bytes(topic)
        # What the cache holds was checked when it was put there, so only a topic that is not in it is checked.
        keys = self._topics.get(data)
        if keys is None:
            data = names.topic_bytes(data)
            if data == self._receiving:
                return None
            stored = records.get_topic(self._store, names.topic_hash(data))
            if stored is None:
                raise errors.TopicKeyNotFound("topic key not found")
            keys = (SIV(stored[0]), stored[1], stored[2])
            if len(self._topics) >= _CACHED_TOPICS:
                self._topics.clear()
            self._topics[data] = keys
        return keys

    # Commands

    def _apply_payload(self, payload: bytes) -> None:
        """Apply the command in a payload, unless it is a copy of one of the last commands. Raises as `unprotect`."""
        if len(payload) <= _OVERHEAD:
            raise errors.TooShort("a command of {} bytes".format(len(payload)))
        timestamp = int.from_bytes(payload[:8], "little")
        mark = bytes(payload[8:16])  # the first half of the tag
        last, marks = records.get_commands(self._store)
        if timestamp == last and mark in marks:
            # Usually nobody verifies this payload, and nobody needs to: whoever copies the timestamp and half of the
            # tag of a command that was applied only achieves that nothing happens. Only evidence must be authentic.
            try:
                self._clock()
            except errors.ClockNotSet:
                if self.evidence is not None:
                    self._open_command(payload)
                    self.evidence(timestamp)
            return
        try:
            self._check_age(payload)
        except (errors.ClockNotSet, errors.TimestampInFuture):
            # An authentic command from the future shows that the clock is behind, unless it is an old command and the
            # clock was set back.
            if self.evidence is None:
                raise
            self._open_command(payload)
            if timestamp < last or not self.evidence(timestamp):
                raise
            self._check_age(payload)
        try:
            command, key = self._open_command(payload)
        except errors.NotAuthentic:
            # A payload that is older than the last command can never be applied. It may well be a genuine command under
            # an ID key that was replaced since, so it is reported as Replayed below.
            if timestamp >= last:
                raise
        if timestamp < last:
            raise errors.Replayed("older than the last command applied")
        if timestamp > last:
            marks = b""
        self._apply(command, key, records.put_commands(timestamp, marks + mark), timestamp)

    def _check_age(self, payload: bytes) -> None:
        """Raise TimestampInFuture, TimestampTooOld or ClockNotSet if a command cannot be applied now."""
        now = self._now()
        limit = now if self.max_command_age is None else self.max_command_age
        protection.check_fresh(payload, now, limit, self.future_tolerance)

    def _open_command(self, payload: bytes) -> tuple[bytes, bytes]:
        """Return a plain command and the ID key under which it was protected. Raises NotAuthentic."""
        _, key, _, previous, _ = records.get_identity(self._store)
        if self._siv is None:
            self._siv = SIV(key)
        try:
            return self._siv.open_stamped(payload), key
        except errors.NotAuthentic:
            if previous is None:
                raise
        return SIV(previous).open_stamped(payload), previous

    def _apply(self, command: bytes, key: bytes, changes: dict[bytes, bytes | None], timestamp: int) -> None:
        """Apply an authentic command that came under the ID key `key`, in one commit with `changes`."""
        opcode, new_key, hashed = commands.parse(command)
        identity = client_id, current, first, previous, receiving = records.get_identity(self._store)
        if opcode == _SET_ID_KEY:
            # C2 certainly has the key under which this command came. It may crash before it has stored the new key. So
            # the client keeps the key of this command until one comes under the new key.
            previous = key if key != new_key else None
            current = new_key  # type: ignore[assignment]  # SetIDKey has a key
        elif key == current:
            previous = None
        after = (client_id, current, first, previous, receiving)
        if after != identity or opcode == _RESET_TOPICS:
            records.put_identity(changes, after)
        if opcode == _SET_TOPIC_KEY and hashed == names.topic_hash(self._receiving):
            raise errors.InvalidCommand(_FOR_COMMANDS)
        if hashed is not None:
            # The transition to a new key begins when C2 sent it. A client that was away, and gets it later, would
            # otherwise accept messages of a revoked member longer than all others do.
            records.put_topic(self._store, changes, hashed, new_key, timestamp)
        # A commit that fails may still have reached the flash. So everything that was derived from the store is dropped
        # before it, and read from the store again when it is needed.
        self._topics.clear()
        self._siv = None
        self._floor = None
        self._store.commit(changes, opcode == _RESET_TOPICS)
        self.applied += 1
