"""An E4 client in symmetric-key mode: its keys, what it protects and unprotects, the commands it obeys."""

from e4 import commands, names, protection
from e4._const import const
from e4.errors import (
    ClockNotSet,
    InvalidCommand,
    InvalidKey,
    NotAuthentic,
    Replayed,
    SentTooOften,
    StoreCorrupt,
    StoreError,
    TimestampInFuture,
    TooShort,
    TopicKeyNotFound,
)
from e4.names import check_id, topic_bytes, topic_hash
from e4.recent_messages import COPY, RecentMessages
from e4.siv import SIV, check_key
from e4.store import damaged

KEY_TRANSITION = 3600  # seconds for which a replaced topic key still unprotects
REMEMBERED = 256  # messages of which a copy is refused; each takes 12 bytes
_SENT = const(64)  # messages of our own that are remembered, lest two are equal
_READY_TOPICS = const(4)  # topics whose hash and cipher are kept ready; each takes about half a kilobyte

# Records of the store: one for the identity, one for each topic, and one, in every commit, of commands applied.
# The identity: ID (16), ID key (32), fingerprint of the first ID key (8), previous ID key (32, zero: none), custom
# receiving topic (rest).
_IDENTITY = const(b"id")
_ID_KEY = const(16)
_FINGERPRINT = const(48)
_PREVIOUS = const(56)
_CUSTOM = const(88)
# A topic, its hash after that letter: key (32), and after a change the previous key (32), the time of the change (8).
_TOPIC = const(b"t")
_KEY = const(32)
_CHANGED = const(64)
# The last commands: their timestamp (8), the first half of the tag of each one applied with it.
_APPLIED = const(b"c")
_MARK = const(8)
_MAX_MARKS = const(1024)
_NO_KEY = bytes(32)
_FOR_COMMANDS = const("our receiving topic has no key: it is for commands")
# Opcodes, as in `commands`; a constant of another module would be looked up by its name.
_REMOVE_TOPIC = const(0)
_RESET_TOPICS = const(1)
_SET_ID_KEY = const(2)
_SET_TOPIC_KEY = const(3)
_OVERHEAD = const(24)  # bytes of timestamp and tag


class Client:
    """One client: `protect_message` before publishing, `unprotect` for all that arrives.

    `id` has 16 bytes (`id_of(name)`), `key` is its 32-byte ID key. Once the store knows the client, `key`
    may be None; SetIDKey has perhaps replaced it, and the store's key counts. `clock` is called for the time, in
    Unix seconds (an ESP32's own `time.time()` counts from 2000: add 946684800); it may raise ClockNotSet.
    `receiving_topic` is kept in the store when given.

    In seconds: `max_age` of a message, `max_command_age` (None: no limit; commands are never applied twice, so that
    one for a board that was off may be late), `future_tolerance`, `key_transition`. `remembered` is the number of
    messages of which a copy is known for one. `evidence` is called with the timestamp of an authentic command for
    which the clock is not set, or behind; it may set the clock, and then returns True.

    `applied` counts the commands applied since the start.

    Raises InvalidName, InvalidKey, InvalidTopic for bad arguments, ValueError for `remembered` below 1; InvalidKey if
    `key` is none that the store began with or holds; StoreError if the store belongs to another client.

    One caller at a time: no method may be entered while another one runs, from an interrupt or a thread. The functions
    of `siv` may. No failure of any method changes the state of the client or of its store; wherever the store is asked,
    and that is in all methods, StoreError and StoreCorrupt are possible.
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
        key_transition: int = KEY_TRANSITION,
        max_command_age: int | None = protection.MAX_AGE,
        remembered: int = REMEMBERED,
        evidence=None,
    ) -> None:
        self.id = check_id(id)
        self._store = store
        self._clock = clock
        # The settings bear the names of the parameters; names of their own would only take room.
        self.max_age = max_age
        self.future_tolerance = future_tolerance
        self.key_transition = key_transition
        self.max_command_age = max_command_age
        self.evidence = evidence
        self.applied = 0
        self._accepted = RecentMessages(remembered)
        self._sent = RecentMessages(_SENT)
        # What follows is derived from the store, and taken from there again after every change.
        self._ready: dict = {}  # topic bytes: (record, cipher of its current key)
        self._siv: SIV | None = None  # of the ID key
        self._floor: int | None = None
        identity = store.get(_IDENTITY)
        if identity is None:
            identity = self._new_identity(key)
        self._check_identity(identity, key)
        standard = names.receiving_topic(self.id).encode()
        if receiving_topic is not None:
            wanted = topic_bytes(receiving_topic)
            identity = identity[:_CUSTOM] + (b"" if wanted == standard else wanted)
        self._floor = self._last_command()[0]
        if identity != store.get(_IDENTITY):
            store.commit({_IDENTITY: identity})
        self._receiving = identity[_CUSTOM:] or standard
        self.receiving_topic = self._receiving.decode()

    def _new_identity(self, key: bytes | None) -> bytes:
        if key is None:
            raise InvalidKey("the store holds no client yet: its ID key is needed")
        return self.id + check_key(key) + protection.fingerprint(key) + _NO_KEY

    def _check_identity(self, identity: bytes, key: bytes | None) -> None:
        if len(identity) < _CUSTOM or not any(identity[_ID_KEY:_FINGERPRINT]):
            raise damaged("the client's record")
        if identity[:_ID_KEY] != self.id:
            raise StoreError("the store belongs to another client")
        if len(identity) > _CUSTOM:
            topic_bytes(identity[_CUSTOM:])
        if key is None or check_key(key) in (identity[_ID_KEY:_FINGERPRINT], identity[_PREVIOUS:_CUSTOM]):
            return
        if protection.fingerprint(key) != identity[_FINGERPRINT:_PREVIOUS]:
            raise InvalidKey("the store holds another ID key; replace the store to use a new one")

    @property
    def floor(self) -> int:
        """The timestamp of the last command applied, in Unix seconds, or 0. Time is never taken to be earlier."""
        if self._floor is None:
            self._floor = self._last_command()[0]
        return self._floor

    def protect_message(self, message: bytes | str, topic: str | bytes) -> bytes:
        """Return `message` as it may be published on `topic`: 24 bytes longer, under the topic's current key.

        The same message again in the same second is stamped a second earlier, so that no receiver takes it for a copy
        (among the last 64). Two clients that send the same in the same second cannot be told apart.

        Raises TopicKeyNotFound, InvalidTopic, TooShort for an empty message, SentTooOften, ClockNotSet.
        """
        siv = self._topic(topic)[1]
        if siv is None:
            raise TopicKeyNotFound(_FOR_COMMANDS)
        if isinstance(message, str):
            message = message.encode()
        timestamp = self._now(self.future_tolerance)  # peers may accept nothing from the future: the clock goes first
        earlier = False
        while True:
            payload = protection.seal(siv, message, timestamp)
            told = self._sent.classify(payload)
            if told != COPY:
                break
            timestamp -= 1
            earlier = True
        if told and earlier:
            raise SentTooOften("the same message more often than once a second: put a counter into it")
        self._sent.add(payload)
        return payload

    def unprotect(self, payload: bytes, topic: str | bytes) -> bytes | None:
        """Return the message in what arrived on `topic`, or None: it was a command.

        The command has been applied, or it had been before: the broker delivers a retained one again and again.

        Raises TopicKeyNotFound, InvalidTopic, TooShort, TimestampInFuture, TimestampTooOld, NotAuthentic, Replayed
        (PerhapsReplayed), ClockNotSet; for a command also InvalidCommand, UnsupportedCommand, StoreError.
        """
        record, siv = self._topic(topic)
        if siv is None:
            self._obey(payload)
            return None
        now = self._now()
        protection.check_fresh(payload, now, self.max_age, self.future_tolerance)
        self._accepted.check(payload, now)
        try:
            message = siv.open_stamped(payload)
        except NotAuthentic:
            previous = self._previous_key(record, now)
            if previous is None:
                raise
            message = SIV(previous).open_stamped(payload)
        self._accepted.add(payload)
        return message

    def holds_key(self, topic: str | bytes) -> bool:
        """Tell whether this client holds a key for `topic`. Raises InvalidTopic, StoreCorrupt."""
        return self._store.get(_TOPIC + topic_hash(topic)) is not None

    def prove_key(self, nonce: bytes) -> bytes:
        """Return `protection.proof_of_key` of our ID key, for a nonce of somebody who wants to know."""
        return protection.proof_of_key(self._identity()[_ID_KEY:_FINGERPRINT], nonce)

    def _now(self, tolerance: int = 0) -> int:
        """Return the time, or that of the last command if that is over `tolerance` later. Raises ClockNotSet."""
        now = int(self._clock())
        floor = self._floor
        if floor is None:
            floor = self.floor
        # The first comparison is part of the second one, and makes its sum, which takes heap, a rare one.
        return now if now >= floor or now + tolerance >= floor else floor

    def _identity(self) -> bytes:
        identity = self._store.get(_IDENTITY)
        if identity is None:
            raise damaged("the client's record")
        return identity

    def _topic(self, topic: str | bytes) -> tuple:
        """Return record and current cipher of a topic, both None for our receiving topic; a few are kept ready."""
        data = topic if isinstance(topic, bytes) else topic_bytes(topic)
        ready = self._ready.get(data)
        if ready is None:
            data = topic_bytes(data)
            if data == self._receiving:
                return None, None
            record = self._store.get(_TOPIC + topic_hash(data))
            if record is None:
                raise TopicKeyNotFound("topic key not found")
            if len(record) not in (_KEY, _CHANGED + 8):
                raise damaged("the topic's record")
            ready = (record, SIV(record[:_KEY]))
            if len(self._ready) >= _READY_TOPICS:
                self._ready.clear()
            self._ready[data] = ready
        return ready

    def _previous_key(self, record: bytes, now: int) -> bytes | None:
        """Return the key that the current one replaced, while that is at most `key_transition` seconds ago."""
        if len(record) == _KEY:
            return None
        passed = now - int.from_bytes(record[_CHANGED:], "little")
        if -self.future_tolerance <= passed <= self.key_transition:
            return record[_KEY:_CHANGED]
        return None

    # Commands

    def _last_command(self) -> tuple:
        """Return the timestamp of the last command applied, and the marks of all that bear it."""
        applied = self._store.get(_APPLIED)
        if applied is None:
            return 0, b""
        if len(applied) % _MARK or len(applied) < 2 * _MARK:
            raise damaged("the record of commands")
        return int.from_bytes(applied[:8], "little"), applied[8:]

    def _obey(self, payload) -> None:
        """Apply a command, unless it is the last one over again."""
        if len(payload) <= _OVERHEAD:
            raise TooShort("a command of {} bytes".format(len(payload)))
        timestamp = int.from_bytes(payload[:8], "little")
        mark = bytes(payload[8 : 8 + _MARK])
        last, marks = self._last_command()
        if timestamp == last and mark in marks:
            return  # unverified: whoever copies these 16 bytes is ignored, and nothing happens
        try:
            self._check_command(payload)
        except (ClockNotSet, TimestampInFuture):
            # An authentic command ahead of the clock shows that the clock is behind, unless it is an old one.
            if self.evidence is None:
                raise
            self._open_command(payload)
            if timestamp < last or not self.evidence(timestamp):
                raise
            self._check_command(payload)
        try:
            command, key = self._open_command(payload)
        except NotAuthentic:
            if timestamp >= last:
                raise
            # Whoever made it, and under whichever earlier key: it can never be applied.
        if timestamp < last:
            raise Replayed("older than the last command applied")
        if timestamp > last:
            marks = b""
        elif len(marks) >= _MARK * _MAX_MARKS:
            raise StoreError("too many commands in one second; the later ones were not applied")
        self._apply(command, key, {_APPLIED: timestamp.to_bytes(8, "little") + marks + mark})

    def _check_command(self, payload) -> None:
        now = self._now()
        limit = now if self.max_command_age is None else self.max_command_age
        protection.check_fresh(payload, now, limit, self.future_tolerance)

    def _open_command(self, payload) -> tuple:
        """Return a plain command and the ID key under which it came. Raises NotAuthentic."""
        identity = self._identity()
        key, previous = identity[_ID_KEY:_FINGERPRINT], identity[_PREVIOUS:_CUSTOM]
        if self._siv is None:
            self._siv = SIV(key)
        try:
            return self._siv.open_stamped(payload), key
        except NotAuthentic:
            if not any(previous):
                raise
        return SIV(previous).open_stamped(payload), previous

    def _apply(self, command: bytes, key: bytes, changes: dict) -> None:
        """Apply an authentic command, together with the evidence that it has been."""
        opcode, new, hashed = commands.parse(command)
        identity = self._identity()
        if opcode == _SET_ID_KEY:
            # C2 is known to have the key under which it speaks; the new one may yet be lost to it.
            after = identity[:_ID_KEY] + new + identity[_FINGERPRINT:_PREVIOUS] + (key if key != new else _NO_KEY)
        elif key == identity[_ID_KEY:_FINGERPRINT]:
            after = identity[:_PREVIOUS] + _NO_KEY
        else:
            after = identity[:_CUSTOM]
        after += identity[_CUSTOM:]
        if after != identity or opcode == _RESET_TOPICS:
            changes[_IDENTITY] = after
        if opcode == _REMOVE_TOPIC:
            changes[_TOPIC + hashed] = None
        elif opcode == _SET_TOPIC_KEY:
            self._set_topic_key(changes, new, hashed)
        # Whatever becomes of the commit, from now on the store is asked.
        self._ready.clear()
        self._siv = None
        self._floor = None
        self._store.commit(changes, opcode == _RESET_TOPICS)
        self.applied += 1

    def _set_topic_key(self, changes: dict, key: bytes, hashed: bytes) -> None:
        if hashed == topic_hash(self._receiving):
            raise InvalidCommand(_FOR_COMMANDS)
        name = _TOPIC + hashed
        try:
            current = self._store.get(name)
        except StoreCorrupt:  # C2 mends it
            current = None
        if current is not None:
            current = current[:_KEY]
            if current == key:
                return
            key += current + self._now().to_bytes(8, "little")
        changes[name] = key
