"""Runs cases of a vector file against `e4`. It does so on CPython, on the MicroPython VM and on a board.

A case is one line of JSON, `["section", {...}]`. `run` returns "ok", or a text about what is wrong. Only the public
interface of `e4` is used.
"""

import binascii
import json
import sys

import e4

_ERRORS = {
    "too_short": e4.TooShort,
    "timestamp_in_future": e4.TimestampInFuture,
    "timestamp_too_old": e4.TimestampTooOld,
    "not_authentic": e4.NotAuthentic,
    "topic_key_not_found": e4.TopicKeyNotFound,
    "invalid_command": e4.InvalidCommand,
    "unsupported_command": e4.UnsupportedCommand,
}
_KEY = b"k" * 32
_ID = b"conformance test"


def _bytes(case: dict, name: str) -> bytes:
    """Return a field of a case, which is given in hex."""
    return binascii.unhexlify(case[name])


def _check_equal(what: str, got, wanted) -> None:
    """Raise AssertionError if the two values differ."""
    if got != wanted:
        shown = binascii.hexlify(got).decode() if isinstance(got, bytes) else got
        raise AssertionError("{} gives {}".format(what, shown))


def _check_refused(wanted, function, *arguments) -> None:
    """Raise AssertionError if the function does not raise the exception `wanted`, of exactly this type."""
    try:
        function(*arguments)
    except e4.E4Error as error:
        _check_equal("it", type(error).__name__, wanted.__name__)
    else:
        raise AssertionError("it is accepted")


def _client(id_key: bytes, now: int) -> e4.Client:
    """Return a client like the reference client, which tolerates no timestamp in the future."""
    return e4.Client(_ID, id_key, e4.MemoryStore(), lambda: now, future_tolerance=0)


def _aes_siv(case: dict) -> None:
    key, ad = _bytes(case, "key"), _bytes(case, "ad")
    _check_equal("encrypt", e4.siv.encrypt(key, ad, _bytes(case, "plaintext")), _bytes(case, "ciphertext"))
    _check_equal("decrypt", e4.siv.decrypt(key, ad, _bytes(case, "ciphertext")), _bytes(case, "plaintext"))


def _sha3_256(case: dict) -> None:
    _check_equal("sha3_256", e4.sha3.sha3_256(_bytes(case, "message")), _bytes(case, "sha3_256"))


def _ids(case: dict) -> None:
    client_id = e4.id_of(case["name"])
    _check_equal("id_of", client_id, _bytes(case, "id"))
    _check_equal("receiving_topic", e4.receiving_topic(client_id), case["receiving_topic"])


def _topics(case: dict) -> None:
    _check_equal("topic_hash", e4.topic_hash(case["topic"]), _bytes(case, "topic_hash"))


def _messages(case: dict) -> None:
    topic, key, protected = case["topic"], _bytes(case, "topic_key"), _bytes(case, "protected")
    client = _client(_KEY, case["now"])
    set_topic_key = e4.protect(e4.commands.set_topic_key(key, topic), _KEY, case["now"])
    _check_equal("the command", client.unprotect(set_topic_key, client.receiving_topic), None)
    if case["expect"] != "ok":
        _check_refused(_ERRORS[case["expect"]], client.unprotect, protected, topic)
        return
    plaintext = _bytes(case, "plaintext")
    _check_equal("unprotect", client.unprotect(protected, topic), plaintext)
    _check_equal("protect", e4.protect(plaintext, key, int.from_bytes(protected[:8], "little")), protected)


def _plain_command(case: dict) -> bytes | None:
    """Return the command as `e4.commands` builds it, or None for a command of the public-key mode."""
    arguments = case["args"]
    if case["command"] == "RemoveTopic":
        return e4.commands.remove_topic(arguments["topic"])
    if case["command"] == "ResetTopics":
        return e4.commands.reset_topics()
    if case["command"] == "SetIDKey":
        return e4.commands.set_id_key(_bytes(arguments, "key"))
    if case["command"] == "SetTopicKey":
        return e4.commands.set_topic_key(_bytes(arguments, "key"), arguments["topic"])
    return None


def _commands(case: dict) -> None:
    plain, protected, id_key = _bytes(case, "plain"), _bytes(case, "protected"), _bytes(case, "id_key")
    ours = _plain_command(case)
    if ours is not None:
        _check_equal("the plain command", ours, plain)
    _check_equal("protect", e4.protect(plain, id_key, case["timestamp"]), protected)
    client = _client(id_key, case["timestamp"])
    if ours is None:
        _check_refused(e4.UnsupportedCommand, client.unprotect, protected, client.receiving_topic)
    elif case["command"] == "SetIDKey" and len(plain) != 33:  # The key is an Ed25519 key of the public-key mode.
        _check_refused(e4.InvalidCommand, client.unprotect, protected, client.receiving_topic)
    else:
        _check_equal("the command", client.unprotect(protected, client.receiving_topic), None)
        if case["command"] == "SetTopicKey":
            topic, key = case["args"]["topic"], _bytes(case["args"], "key")
            _check_equal("its key", e4.unprotect(client.protect_message(b"x", topic), key, case["timestamp"]), b"x")


def _bad_commands(case: dict) -> None:
    client = _client(_bytes(case, "id_key"), case["now"])
    _check_refused(_ERRORS[case["expect"]], client.unprotect, _bytes(case, "protected"), client.receiving_topic)


SECTIONS = {
    "aes_siv": _aes_siv,
    "sha3_256": _sha3_256,
    "ids": _ids,
    "topics": _topics,
    "messages": _messages,
    "commands": _commands,
    "bad_commands": _bad_commands,
}


def run(line: str) -> str:
    """Run one case. Return "ok", or a text about what is wrong."""
    try:
        section, case = json.loads(line)
        SECTIONS[section](case)
    except Exception as error:  # Whatever goes wrong is a failure of this case; the next cases must still run.
        return "{}: {}".format(type(error).__name__, error)
    return "ok"


def serve() -> None:
    """Answer the lines of standard input one by one, until the input ends."""
    for line in sys.stdin:
        print(run(line))
