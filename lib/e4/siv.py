"""AES-SIV (RFC 5297) on the two modes that the board's `cryptolib` has, ECB and CBC.

CBC with a zero IV over a whole message is the inner loop of CMAC; ECB over a batch of counter blocks is CTR.
So a message costs one call of each, whatever its length.
"""

from cryptolib import aes

from e4.blocks import counter_blocks, double, same, xor_into
from e4.errors import InvalidKey, NotAuthentic, TooShort

KEY_SIZE = 32
TAG_SIZE = 16
_ECB = 1
_CBC = 2
_ZERO = bytes(16)


def check_key(key: bytes) -> bytes:
    """Return `key` as 32 bytes that are not all zero. Raises InvalidKey."""
    if isinstance(key, str) or len(key) != KEY_SIZE:
        raise InvalidKey("a symmetric key has 32 bytes")
    if not any(key):
        raise InvalidKey("an all-zero key is no key")
    return bytes(key)


class CMAC:
    """AES-CMAC (RFC 4493, NIST SP 800-38B) under one key of 16 or 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.ecb = aes(key, _ECB)
        self._whole = bytearray(self.ecb.encrypt(_ZERO))  # K1, for a whole last block
        double(self._whole)
        self._padded = bytearray(self._whole)  # K2, for a padded one
        double(self._padded)

    def tag_in_place(self, buffer: bytearray, n: int) -> memoryview:
        """Return the 16-byte tag of the first `n` bytes of `buffer`, a view of its end. The rest is consumed.

        `buffer` has `n` bytes rounded up to a whole block, and at least one block.
        """
        last = memoryview(buffer)[-16:]
        if n and n % 16 == 0:
            xor_into(last, self._whole, 16)
        else:
            buffer[n] = 0x80
            for i in range(n + 1, len(buffer)):
                buffer[i] = 0
            xor_into(last, self._padded, 16)
        if len(buffer) == 16:  # a single block: the object at hand does, no key schedule is needed
            self.ecb.encrypt(buffer, buffer)
        else:
            aes(self._key, _CBC, _ZERO).encrypt(buffer, buffer)
        return last

    def tag(self, data: bytes) -> bytes:
        """Return the 16-byte tag of `data`."""
        n = len(data)
        buffer = bytearray(_blocks(n) or 16)
        buffer[:n] = data
        return bytes(self.tag_in_place(buffer, n))


def _blocks(n: int) -> int:
    """Round `n` up to whole blocks of 16 bytes."""
    return (n + 15) & -16


class SIV:
    """AES-SIV under a MAC key and an encryption key; the same key for both unless a second one is given."""

    def __init__(self, mac_key: bytes, ctr_key: bytes | None = None) -> None:
        self._cmac = CMAC(mac_key)
        self._ecb = aes(ctr_key, _ECB) if ctr_key is not None else self._cmac.ecb
        self._start = bytearray(self._cmac.tag(_ZERO))  # S2V begins with CMAC(<zero>): the same for every message

    def _s2v(self, ads, message, buffer: bytearray) -> memoryview:
        """Return the synthetic IV (RFC 5297 section 2.4) of the associated data and the message."""
        n = len(message)
        d = bytearray(self._start)
        for ad in ads:
            double(d)
            xor_into(d, self._cmac.tag(ad), 16)
        buffer[:n] = message
        if n >= 16:
            end = memoryview(buffer)[n - 16 : n]
            xor_into(end, d, 16)
            return self._cmac.tag_in_place(buffer, n)
        double(d)
        buffer[n] = 0x80
        for i in range(n + 1, 16):
            buffer[i] = 0
        xor_into(buffer, d, 16)
        return self._cmac.tag_in_place(buffer, 16)

    def _key_stream(self, tag, buffer: bytearray) -> None:
        """Fill `buffer`, whole blocks, with the CTR key stream of this tag (RFC 5297 section 2.5)."""
        counter = bytearray(tag)
        counter[8] &= 0x7F
        counter[12] &= 0x7F
        counter_blocks(buffer, counter, len(buffer) // 16)
        self._ecb.encrypt(buffer, buffer)

    def seal_into(self, out, message, *ads) -> None:
        """Write tag and ciphertext of `message` into `out`, which has 16 bytes more than it."""
        n = len(message)
        buffer = bytearray(_blocks(n) or 16)
        out[:TAG_SIZE] = self._s2v(ads, message, buffer)
        self._key_stream(out[:TAG_SIZE], buffer)
        xor_into(buffer, message, n)
        out[TAG_SIZE:] = memoryview(buffer)[:n]

    def open(self, sealed, *ads) -> bytes:
        """Return the message of tag and ciphertext.

        Raises NotAuthentic (and wipes the message) if the tag does not verify, TooShort if there is no tag.
        """
        if len(sealed) < TAG_SIZE:
            raise TooShort("AES-SIV output has at least 16 bytes")
        tag = memoryview(sealed)[:TAG_SIZE]
        n = len(sealed) - TAG_SIZE
        work = bytearray(_blocks(n) or 16)
        self._key_stream(tag, work)
        xor_into(work, memoryview(sealed)[TAG_SIZE:], n)
        message = bytearray(memoryview(work)[:n])
        if not same(self._s2v(ads, message, work), tag, TAG_SIZE):
            for i in range(n):
                message[i] = 0
            raise NotAuthentic("not authentic")
        return bytes(message)


def encrypt(key: bytes, ad: bytes, plaintext: bytes) -> bytes:
    """Return the 16-byte tag and the ciphertext of `plaintext`, as E4 uses AES-SIV.

    `key` has 32 bytes and serves both CMAC and CTR: RFC 5297 with the key `key || key` and one associated-data
    string. Raises InvalidKey.
    """
    out = bytearray(len(plaintext) + TAG_SIZE)
    SIV(check_key(key)).seal_into(memoryview(out), plaintext, ad)
    return bytes(out)


def decrypt(key: bytes, ad: bytes, ciphertext: bytes) -> bytes:
    """Return the plaintext of what `encrypt` made. Raises InvalidKey, NotAuthentic, TooShort."""
    return SIV(check_key(key)).open(ciphertext, ad)
