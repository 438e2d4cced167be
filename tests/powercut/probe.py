"""Compares a client with the model, using only its public methods and without changing it."""

import e4
from powercut.model import APPLIED, IGNORED

# At most so many protected messages are kept, because the heap of the VM is limited.
_REMEMBERED = 2000


class Loss(Exception):
    """The client has lost a key or a command, or it still has a key that it must no longer have."""


def deliver(client, command):
    """Give a command to the client. Return APPLIED, IGNORED or the name of the E4Error, or raise Loss."""
    applied = client.applied
    try:
        message = client.unprotect(command.payload, client.receiving_topic)
    except e4.E4Error as error:
        if client.applied != applied:
            raise Loss("{!r} was refused and yet counted as applied".format(command)) from None
        return type(error).__name__
    if message is not None:
        raise Loss("{!r} was taken for a message".format(command))
    return APPLIED if client.applied == applied + 1 else IGNORED


class Probe:
    """Puts questions to one client.

    Every message that it sends is different. A client would refuse a message that it has already accepted.
    """

    def __init__(self, client):
        self._client = client
        self._serial = 0

    def check(self, model, clock, keys, topics):
        """Raise Loss unless the client is in the state of `model`.

        `keys` has all keys that there ever were: a list for each topic, and one for the ID keys under "id".
        """
        if self._client.floor != model.floor:
            raise Loss("the last command was at {}, the client says {}".format(model.floor, self._client.floor))
        now = max(clock, model.floor)
        for topic in topics:
            self._check_topic(topic, model.opens(topic, clock), keys.get(topic, ()), now)
        self._check_id_keys(model, keys["id"], now)

    def _message(self):
        self._serial += 1
        return b"probe %d" % self._serial

    def _check_topic(self, topic, opens, ever, now):
        message = self._message()
        try:
            payload = self._client.protect_message(message, topic)
            if not opens:
                raise Loss("{}: there is still a key".format(topic))
            if not _is_protected(payload, message, opens[0], now):
                raise Loss("{}: protected under a wrong key".format(topic))
        except e4.TopicKeyNotFound:
            if opens:
                raise Loss("{}: the key is missing".format(topic)) from None
        for key in ever[-3:]:
            message = self._message()
            try:
                accepted = self._client.unprotect(_protect(message, key, now), topic) == message
            except (e4.NotAuthentic, e4.TopicKeyNotFound):
                accepted = False
            if accepted != (key in opens):
                raise Loss("{}: a key {}".format(topic, "is accepted that was replaced" if accepted else "was lost"))

    def _check_id_keys(self, model, ever, now):
        nonce = b"nonce of a probe"
        if self._client.prove_key(nonce) != e4.proof_of_key(model.id_key, nonce):
            raise Loss("another ID key")
        for key in ever[-3:]:
            # This is no valid command, so it changes nothing. The error shows whether the client knows the key.
            try:
                payload = _protect(b"\xff" + self._message(), key, now)
                self._client.unprotect(payload, self._client.receiving_topic)
                raise Loss("a command that does not exist was accepted")
            except e4.InvalidCommand:
                known = True
            except e4.NotAuthentic:
                known = False
            if known != (key in (model.id_key, model.previous_id_key)):
                raise Loss("an ID key {}".format("is accepted that was replaced" if known else "was lost"))


# What `_protect` has returned. Board after board is asked the same questions, and protecting them takes long.
_payloads: dict = {}


def _protect(message, key, now):
    question = (message, key, now)
    payload = _payloads.get(question)
    if payload is None:
        if len(_payloads) >= _REMEMBERED:
            _payloads.clear()
        payload = _payloads[question] = e4.protect(message, key, now)
    return payload


def _is_protected(payload, message, key, now):
    """Tell whether `payload` is this message under this key.

    AES-SIV gives the same result for the same input, so a comparison is mostly enough. The client may have stamped
    its payload with another second; then it is decrypted.
    """
    if payload == _protect(message, key, now):
        return True
    try:
        return e4.unprotect(payload, key, now) == message
    except e4.E4Error:
        return False
