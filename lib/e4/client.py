"""An E4 client in symmetric-key mode: its keys, what it protects and unprotects, the commands it obeys."""

from e4 import commands, names, protection
from e4.errors import InvalidKey, NotAuthentic, StoreCorrupt, StoreError, TopicKeyNotFound
from e4.names import check_id, topic_bytes, topic_hash
from e4.sha3 import sha3_256
from e4.siv import KEY_SIZE, SIV, check_key

KEY_TRANSITION = 3600  # seconds for which a replaced topic key still unprotects
_READY_TOPICS = 4  # topics whose hash and cipher are kept ready; each takes about half a kilobyte

# Records of the store: one for the identity, one for each topic.
_IDENTITY = b"id"  # ID (16), ID key (32), fingerprint of the first ID key (8), custom receiving topic (rest)
_CUSTOM = 56
_TOPIC = b"t"  # then the topic hash; key (32), and after a change the previous key (32), the time of the change (8)


class Client:
    """One client: `protect_message` before publishing, `unprotect` for all that arrives.

    `id` has 16 bytes (`id_of(name)`), `key` is its 32-byte ID key. Once the store knows the client, `key`
    may be None; SetIDKey has perhaps replaced it, and the store's key counts. `clock` is called for the time, in
    Unix seconds; it may raise ClockNotSet. `receiving_topic` is kept in the store when given.

    Raises InvalidName, InvalidKey, InvalidTopic for bad arguments; InvalidKey if `key` is neither the key that
    the store began with nor the one it holds; StoreError if the store belongs to another client.

    No failure of any method changes the state of the client or of its store.
    """

    def __init__(  # noqa: PLR0913 (one parameter for each setting, the last five optional)
        self,
        id: bytes,  # noqa: A002 (the interface's name for it)
        key: bytes | None,
        store,
        clock,
        receiving_topic: str | None = None,
        max_age: int = protection.MAX_AGE,
        future_tolerance: int = protection.FUTURE_TOLERANCE,
        key_transition: int = KEY_TRANSITION,
    ) -> None:
        self.id = check_id(id)
        self._store = store
        self._clock = clock
        self._max_age = max_age
        self._future_tolerance = future_tolerance
        self._key_transition = key_transition
        self._ready: dict = {}  # topic bytes: (topic hash, its record, cipher of its current key)
        identity = store.get(_IDENTITY)
        if identity is None:
            identity = self._new_identity(key)
        self._check_identity(identity, key)
        if receiving_topic is not None:
            identity = identity[:_CUSTOM] + topic_bytes(receiving_topic)
        siv = SIV(identity[16:48])
        if identity != store.get(_IDENTITY):
            store.commit({_IDENTITY: identity})
        self._siv = siv
        self._receiving = identity[_CUSTOM:] or names.receiving_topic(self.id).encode()
        self.receiving_topic = self._receiving.decode()

    def _new_identity(self, key: bytes | None) -> bytes:
        if key is None:
            raise InvalidKey("the store holds no client yet: its ID key is needed")
        return self.id + check_key(key) + sha3_256(key)[:8]

    def _check_identity(self, identity: bytes, key: bytes | None) -> None:
        if len(identity) < _CUSTOM or not any(identity[16:48]):
            raise StoreCorrupt("the store's record of the client is damaged; it was left as found")
        if identity[:16] != self.id:
            raise StoreError("the store belongs to another client")
        if len(identity) > _CUSTOM:
            topic_bytes(identity[_CUSTOM:])
        if key is None or check_key(key) == identity[16:48] or sha3_256(key)[:8] == identity[48:56]:
            return
        raise InvalidKey("the store holds another ID key for this client; replace the store to use a new one")

    def protect_message(self, message: bytes | str, topic: str | bytes) -> bytes:
        """Return `message` as it may be published on `topic`: 24 bytes longer, under the topic's current key.

        Raises TopicKeyNotFound, InvalidTopic, TooShort for an empty message, ClockNotSet.
        """
        siv = self._topic(topic)[2]
        if isinstance(message, str):
            message = message.encode()
        return protection.seal(siv, message, self._now())

    def unprotect(self, payload: bytes, topic: str | bytes) -> bytes | None:
        """Return the message in what arrived on `topic`, or None: it was a command and it has been applied.

        Raises TopicKeyNotFound, InvalidTopic, TooShort, TimestampInFuture, TimestampTooOld, NotAuthentic,
        ClockNotSet; for a command also InvalidCommand, UnsupportedCommand, StoreError.
        """
        data = topic_bytes(topic)
        if data == self._receiving:
            self._check_fresh(payload, self._now())
            self._apply(protection.open_sealed(self._siv, payload))
            return None
        _, record, siv = self._topic(data)
        now = self._now()
        self._check_fresh(payload, now)
        try:
            return protection.open_sealed(siv, payload)
        except NotAuthentic:
            previous = self._previous_key(record, now)
            if previous is None:
                raise
        return protection.open_sealed(SIV(previous), payload)

    def holds_key(self, topic: str | bytes) -> bool:
        """Tell whether this client holds a key for `topic`. Raises InvalidTopic."""
        return self._store.get(_TOPIC + topic_hash(topic)) is not None

    def prove_key(self, nonce: bytes) -> bytes:
        """Return `protection.proof_of_key` of our ID key, for a nonce of somebody who wants to know."""
        return protection.proof_of_key(self._store.get(_IDENTITY)[16:48], nonce)

    def _now(self) -> int:
        return int(self._clock())

    def _check_fresh(self, payload, now: int) -> None:
        protection.check_fresh(payload, now, self._max_age, self._future_tolerance)

    def _topic(self, topic: str | bytes) -> tuple:
        """Return topic hash, record and cipher of a topic; a few are kept ready."""
        data = topic_bytes(topic)
        ready = self._ready.get(data)
        if ready is None:
            hashed = topic_hash(data)
            record = self._store.get(_TOPIC + hashed)
            if record is None:
                raise TopicKeyNotFound("topic key not found")
            if len(record) not in (KEY_SIZE, 2 * KEY_SIZE + 8):
                raise StoreCorrupt("the store's record of this topic is damaged; it was left as found")
            ready = (hashed, record, SIV(record[:KEY_SIZE]))
            if len(self._ready) >= _READY_TOPICS:
                self._ready.clear()
            self._ready[data] = ready
        return ready

    def _previous_key(self, record: bytes, now: int) -> bytes | None:
        """Return the key that the current one replaced, while that is at most `key_transition` seconds ago."""
        if len(record) == KEY_SIZE:
            return None
        replaced = int.from_bytes(record[2 * KEY_SIZE :], "little")
        return record[KEY_SIZE : 2 * KEY_SIZE] if now - replaced <= self._key_transition else None

    def _apply(self, command: bytes) -> None:
        """Apply an authentic command: check it, change the store, and only then what is in memory."""
        opcode, key, hashed = commands.parse(command)
        changes = _CHANGES[opcode](self, key, hashed)
        siv = SIV(key) if opcode == commands.SET_ID_KEY else self._siv
        self._store.commit(changes)
        self._ready.clear()
        self._siv = siv

    def _remove_topic(self, _key, hashed: bytes) -> dict:
        return {_TOPIC + hashed: None} if self._store.get(_TOPIC + hashed) is not None else {}

    def _reset_topics(self, _key, _hashed) -> dict:
        return {name: None for name in self._store.names() if name.startswith(_TOPIC)}

    def _set_id_key(self, key: bytes, _hashed) -> dict:
        identity = self._store.get(_IDENTITY)
        return {_IDENTITY: identity[:16] + key + identity[48:]}

    def _set_topic_key(self, key: bytes, hashed: bytes) -> dict:
        current = self._store.get(_TOPIC + hashed)
        if current is not None:
            current = current[:KEY_SIZE]
            if current == key:
                return {}
            key += current + self._now().to_bytes(8, "little")
        return {_TOPIC + hashed: key}


_CHANGES = {
    commands.REMOVE_TOPIC: Client._remove_topic,
    commands.RESET_TOPICS: Client._reset_topics,
    commands.SET_ID_KEY: Client._set_id_key,
    commands.SET_TOPIC_KEY: Client._set_topic_key,
}
