"""The queue of messages that are to be sent: they wait for a connection, and until the broker has them."""

from e4 import ClockNotSet, E4Error, TopicKeyNotFound
from e4._const import const

from .errors import LinkDown

# The number of times that a message is sent. If the connection ended each time, the message may be the cause, and would
# hold up all others for ever.
_ATTEMPTS = const(16)
# The time in seconds within which the same bytes are sent again: half of what receivers accept. Later than that the
# message is protected anew.
_RESENT_S = const(300)


class OutgoingMessage:
    """A message that is to be sent. Applications look at `done` and `error`.

    The defaults are attributes of the class, so that a message that waits takes no heap for them.
    """

    # The message as protected, or None before it is sent for the first time; the queue sets it.
    payload: bytes | None = None
    # The MQTT packet identifier under which the message was sent, or 0; the queue sets it.
    packet_id = 0
    # The Unix time in seconds at which the message was protected; the queue sets it.
    sent_at = 0
    # The number of times that the message was sent; the queue sets it.
    attempts = 0
    # True once the broker has the message (with QoS 0: once the network has it); the queue sets it.
    done = False
    # True while the application waits for the outcome, which it then learns by an exception; the node sets it.
    is_watched = False
    # Why the message will never be sent, or None; the queue sets it.
    error: Exception | None = None

    def __init__(self, topic: str, message: bytes, retain: bool, qos: int) -> None:
        self.topic = topic
        self.message = message
        self.retain = retain
        self.qos = qos

    def result(self) -> bool:
        """Return `done`, or raise what is in `error`; where the topic has no key, the error raised names the topic."""
        if isinstance(self.error, TopicKeyNotFound):
            raise no_key(self.topic)
        if self.error is not None:
            raise self.error
        return self.done


def no_key(topic: str) -> TopicKeyNotFound:
    """Return the error for a topic without a key. It names the topic, because an application may use several."""
    return TopicKeyNotFound("topic key not found: " + topic)


class SendQueue:
    """A queue of limited length and size. If a message finds no room, the oldest ones give way.

    A message is protected when it is sent, so that its timestamp is fresh. With QoS 1 the same bytes are sent again
    after a connection that ended before the broker had confirmed them: whoever received them already refuses the
    copy. After 5 minutes they are too old for that, and the message is protected anew; it may then arrive twice.
    """

    def __init__(self, client, max_messages: int, max_bytes: int) -> None:
        self._client = client
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        # The messages that wait, the oldest first.
        self._messages: list[OutgoingMessage] = []
        # True while the first message is on its way; `step` sets it, `interrupt` clears it.
        self._sending = False
        # The number of messages that gave way since the start.
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, topic: str, message: bytes, retain: bool, qos: int) -> OutgoingMessage:
        """Append a message and return it. Raises LinkDown if it is larger than the queue while others wait in it."""
        if self._messages and len(message) > self.max_bytes:
            raise LinkDown("larger than the queue, where others wait; not sent")
        outgoing = OutgoingMessage(topic, message, retain, qos)
        # The new message comes first: if there is no memory for it, no other has given way.
        waiting = self._messages
        waiting.append(outgoing)
        kept = 1 if self._sending else 0  # A message on its way does not give way, and neither does the new one.
        while len(waiting) > kept + 1 and (len(waiting) > self.max_messages or self._size() > self.max_bytes):
            waiting[kept].error = LinkDown("it gave way to later messages: the queue was full")
            waiting.pop(kept)
            self.dropped += 1
        return outgoing

    def _size(self) -> int:
        """Return the bytes of all messages. A sum that is kept beside the list could come to differ from it."""
        size = 0
        for outgoing in self._messages:
            size += len(outgoing.message)
        return size

    def is_ready(self, link) -> bool:
        """Tell whether `step` has something to do: a message waits, and the link can take one."""
        return bool(self._messages) and link.is_up and not link.is_publishing

    def interrupt(self) -> None:
        """Note that the connection has ended, so that the message on its way is sent again."""
        self._sending = False

    def step(self, link, clock) -> OutgoingMessage | None:
        """Remove the message that was confirmed, and send the next one.

        Returns a message that can never be sent, or None. `clock` is called for the time in Unix seconds. Raises
        LinkDown or OSError if the connection fails.
        """
        while self.is_ready(link):
            outgoing = self._messages[0]
            if self._sending:
                # The link is free again, so the broker has confirmed the message that was on its way.
                outgoing.done = True
                self._sending = False
                self._messages.pop(0)
                continue
            try:
                if outgoing.attempts >= _ATTEMPTS:
                    raise LinkDown("the connection has ended with it {} times; given up".format(_ATTEMPTS))
                self._protect(outgoing, clock())
                outgoing.attempts += 1
            except ClockNotSet:
                return None
            except (E4Error, LinkDown, MemoryError) as error:
                outgoing.error = error
                self._messages.pop(0)
                return outgoing
            outgoing.packet_id = link.publish(
                outgoing.topic.encode(), outgoing.payload, outgoing.retain, outgoing.qos, outgoing.packet_id
            )
            self._sending = True
        return None

    def _protect(self, outgoing: OutgoingMessage, now: int) -> None:
        """Set the payload: the bytes that were sent before, or fresh ones, which count as another message."""
        if outgoing.payload is None or not outgoing.qos or not 0 <= now - outgoing.sent_at <= _RESENT_S:
            outgoing.packet_id = 0
            outgoing.payload = self._client.protect_message(outgoing.message, outgoing.topic)
            outgoing.sent_at = now
