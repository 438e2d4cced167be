"""Holds a client against the model, through its public methods alone and without changing it."""

import e4
from powercut.model import APPLIED, IGNORED

_REMEMBERED = 2000  # protected messages


class Loss(Exception):
    """The client does not know what it must know, or knows what it must not."""


def deliver(client, command):
    """Hand a command to the client; return APPLIED, IGNORED or the name of the E4Error."""
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
    """Questions to one client. No message is sent twice to it, so that none is taken for a copy."""

    def __init__(self, client):
        self._client = client
        self._serial = 0

    def check(self, model, clock, keys, topics):
        """Raise Loss unless the client is in the state of `model`. `keys`: all there ever were, by topic and "id"."""
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
                accepted = self._client.unprotect(_protected(message, key, now), topic) == message
            except (e4.NotAuthentic, e4.TopicKeyNotFound):
                accepted = False
            if accepted != (key in opens):
                raise Loss("{}: a key {}".format(topic, "is accepted that was replaced" if accepted else "was lost"))

    def _check_id_keys(self, model, ever, now):
        nonce = b"nonce of a probe"
        if self._client.prove_key(nonce) != e4.proof_of_key(model.id_key, nonce):
            raise Loss("another ID key")
        for key in ever[-3:]:
            try:  # no command at all: how it is refused tells whether the key is known
                payload = _protected(b"\xff" + self._message(), key, now)
                self._client.unprotect(payload, self._client.receiving_topic)
                raise Loss("a command that does not exist was accepted")
            except e4.InvalidCommand:
                known = True
            except e4.NotAuthentic:
                known = False
            if known != (key in (model.id_key, model.previous_id_key)):
                raise Loss("an ID key {}".format("is accepted that was replaced" if known else "was lost"))


_payloads: dict = {}  # what `_protected` returned: the same questions are put to board after board


def _protected(message, key, now):
    question = (message, key, now)
    payload = _payloads.get(question)
    if payload is None:
        if len(_payloads) >= _REMEMBERED:
            _payloads.clear()
        payload = _payloads[question] = e4.protect(message, key, now)
    return payload


def _is_protected(payload, message, key, now):
    """Tell whether this is the message under that key. AES-SIV of the same is the same, so mostly a look suffices."""
    if payload == _protected(message, key, now):
        return True
    try:
        return e4.unprotect(payload, key, now) == message
    except e4.E4Error:
        return False
