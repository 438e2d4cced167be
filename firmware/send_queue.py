"""Messages on their way out: they wait here while there is no connection, and until the broker has them."""

from e4 import ClockNotSet, E4Error, TopicKeyNotFound
from e4._const import const

from .errors import LinkDown

_ATTEMPTS = const(16)  # to send a message: if all ended the connection, the next ones must have their turn
_RESENT_S = const(300)  # seconds; half of what receivers accept. Later a message is protected anew


class OutgoingMessage:
    """A message to be sent. `done` once the broker has it (QoS 0: once the network has it), or `error` says why not."""

    payload: bytes | None = None  # as protected, once it was sent
    packet_id = sent_at = attempts = 0
    done = is_watched = False  # is_watched: somebody waits to see how it fares
    error: Exception | None = None

    def __init__(self, topic: str, message: bytes, retain: bool, qos: int) -> None:
        self.topic = topic
        self.message = message
        self.retain = retain
        self.qos = qos

    def result(self) -> bool:
        """Return `done`; raise what is in `error`, with the topic's name if it has no key."""
        if isinstance(self.error, TopicKeyNotFound):
            raise no_key(self.topic)
        if self.error is not None:
            raise self.error
        return self.done


def no_key(topic: str) -> TopicKeyNotFound:
    """Return the error of a client that has no key for `topic`, with its name: there may be several."""
    return TopicKeyNotFound("topic key not found: " + topic)


class SendQueue:
    """A queue of limited length and size; where a message finds no room, the oldest ones give way.

    A message is protected when it is sent, so that its timestamp is fresh. With QoS 1 the same bytes are sent again
    after a connection that was lost before the broker had confirmed them: whoever got them already refuses the copy.
    After 5 minutes they are too old for that, and the message is protected anew; it may then arrive twice.
    """

    def __init__(self, client, max_messages: int, max_bytes: int) -> None:
        self._client = client
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages: list = []
        self._bytes = 0
        self._sending = False  # the first one is on its way
        self.dropped = 0  # messages that gave way, since the start

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, topic: str, message: bytes, retain: bool, qos: int) -> OutgoingMessage:
        """Append a message; return what will tell how it fares. Raises LinkDown if others would all give way."""
        if self._messages and len(message) > self._max_bytes:
            raise LinkDown("larger than the queue, where others wait; not sent")
        outgoing = OutgoingMessage(topic, message, retain, qos)
        kept = 1 if self._sending else 0  # the one on its way does not give way
        while len(self._messages) > kept and (
            len(self._messages) >= self._max_messages or self._bytes + len(message) > self._max_bytes
        ):
            oldest = self._messages.pop(kept)
            self._bytes -= len(oldest.message)
            oldest.error = LinkDown("it gave way to later messages: the queue was full")
            self.dropped += 1
        self._messages.append(outgoing)
        self._bytes += len(message)
        return outgoing

    def is_ready(self, link) -> bool:
        """Tell whether `step` has something to do."""
        return bool(self._messages) and link.is_up and not link.is_publishing

    def interrupt(self) -> None:
        """Note that the connection is gone."""
        self._sending = False

    def step(self, link, now) -> OutgoingMessage | None:
        """See the last message confirmed, and send the next. Return one that can never be sent, or None.

        `now` is called for the time in Unix seconds. Raises LinkDown, OSError.
        """
        while self.is_ready(link):
            outgoing = self._messages[0]
            if self._sending:
                self._sending = False
                outgoing.done = True
                self._remove_first()
                continue
            try:
                if outgoing.attempts >= _ATTEMPTS:
                    raise LinkDown("the connection has ended with it {} times; given up".format(_ATTEMPTS))
                self._protect(outgoing, now())
                outgoing.attempts += 1
            except ClockNotSet:
                return None
            except (E4Error, LinkDown, MemoryError) as error:
                outgoing.error = error
                self._remove_first()
                return outgoing
            outgoing.packet_id = link.publish(
                outgoing.topic.encode(), outgoing.payload, outgoing.retain, outgoing.qos, outgoing.packet_id
            )
            self._sending = True
        return None

    def _protect(self, outgoing: OutgoingMessage, now: int) -> None:
        """Have the payload ready: the one that was sent before, or a fresh one, which is another message."""
        if outgoing.payload is None or not outgoing.qos or not 0 <= now - outgoing.sent_at <= _RESENT_S:
            outgoing.packet_id = 0
            outgoing.payload = self._client.protect_message(outgoing.message, outgoing.topic)
            outgoing.sent_at = now

    def _remove_first(self) -> None:
        self._bytes -= len(self._messages.pop(0).message)
