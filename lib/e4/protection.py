"""The wire format of messages and commands: `timestamp (8) | SIV tag (16) | ciphertext (n)`.

It is that of the Go client.

The timestamp is in Unix seconds, little-endian; its 8 bytes are the one string of associated data (RFC 5297). Such
numbers are no small integers on a board, where small integers end at 2**30, so every sum of them takes a little heap.
"""

from struct import unpack_from

from e4._const import const
from e4.errors import TimestampInFuture, TimestampTooOld, TooShort
from e4.sha3 import sha3_256
from e4.siv import SIV, check_key, cipher

_OVERHEAD = const(24)  # bytes of timestamp and tag
MAX_AGE = 600  # seconds; a payload of exactly this age is still valid
# In seconds. The clock of a board drifts: with the zero of the Go client, a board would refuse messages of its peers.
FUTURE_TOLERANCE = 60


def seal(siv: SIV, message: bytes, timestamp: int) -> bytes:
    """Return `message` protected under a cipher, stamped with Unix seconds.

    `timestamp` is from 0 to 2**64 - 1, which is not checked. Raises TooShort if the message is empty.
    """
    if len(message) == 0:
        raise TooShort("an empty message cannot be protected")
    return siv.seal_stamped(message, timestamp)


def check_fresh(payload: bytes, now: int, max_age: int = MAX_AGE, future_tolerance: int = FUTURE_TOLERANCE) -> int:
    """Return the age in seconds of a payload at `now`, in Unix seconds, if that is valid. No key is needed for that.

    The age is negative for a timestamp that lies ahead of `now`. Raises TooShort, TimestampInFuture, TimestampTooOld,
    in this order.
    """
    if len(payload) <= _OVERHEAD:
        raise TooShort("a payload has at least 25 bytes, not {}".format(len(payload)))
    age = now - unpack_from("<Q", payload)[0]
    if age + future_tolerance < 0:
        raise TimestampInFuture("timestamp in future")
    if age > max_age:
        raise TimestampTooOld("timestamp too old")
    return age


def protect(message: bytes, key: bytes, timestamp: int) -> bytes:
    """Return `message` protected under a 32-byte key. C2 protects commands in this way, under the client's ID key.

    `timestamp` is in Unix seconds. Raises InvalidKey, TooShort.
    """
    return seal(cipher(key), message, timestamp)


def unprotect(payload: bytes, key: bytes, now: int) -> bytes:
    """Return the message that `protect` protected, if it is valid at `now`, in Unix seconds.

    Raises InvalidKey, TooShort, TimestampInFuture, TimestampTooOld, NotAuthentic.
    """
    siv = cipher(key)
    check_fresh(payload, now)
    return siv.open_stamped(payload)


def fingerprint(key: bytes) -> bytes:
    """Return the 8 bytes by which people and stores recognise a key: the start of its SHA3-256.

    They reveal nothing else of a random key. Every fingerprint of this project is made here.
    """
    return sha3_256(key)[:8]


def proof_of_key(key: bytes, nonce: bytes) -> bytes:
    """Return 32 bytes that only a holder of `key` can compute for this nonce, and that reveal nothing else of the key.

    It is the SHA3-256 of a label, the key and the nonce. It is not a CMAC, because a CMAC of chosen input under an ID
    key could be made part of a forged command. Raises InvalidKey.
    """
    return sha3_256(b"e4 proof of key\n" + check_key(key) + nonce)
