"""AES-SIV (RFC 5297) on the two modes that the board's `cryptolib` has, ECB and CBC.

CBC with a zero IV over a whole message is the inner loop of CMAC; ECB over a batch of counter blocks is CTR.
So a message costs one call of each, whatever its length; the rest is kept out of the interpreter by `blocks`.
"""

from cryptolib import aes

from e4._const import const
from e4.blocks import copy_block, counter_blocks, double, mask, same, wipe, xor_into
from e4.errors import InvalidKey, NotAuthentic, TooShort

KEY_SIZE = 32
TAG_SIZE = 16
_TAG = const(16)
_ECB = const(1)
_CBC = const(2)
_CHUNK = const(1024)  # bytes of a message that go through CBC at once while a tag is checked
_POOLED = const(1056)  # bytes of a buffer that is kept: a message of 1 KiB, its tag and its timestamp
_CIPHERS = const(4)  # ciphers that `cipher` keeps ready
_ZERO = bytes(16)

# Buffers that no call is using: two, unless a call interrupted another one. Who pops one has it alone, which no flag
# could promise where an interrupt may come between any two steps. What was secret in it is wiped before that.
_pool: list = []
_ciphers: dict = {}  # key: SIV


def check_key(key: bytes) -> bytes:
    """Return `key` as 32 bytes that are not all zero. Raises InvalidKey."""
    if isinstance(key, str) or len(key) != KEY_SIZE:
        raise InvalidKey("a symmetric key has 32 bytes")
    if not any(key):
        raise InvalidKey("an all-zero key is no key")
    return bytes(key)


def rounded(n: int) -> int:
    """Return the size of a buffer for n bytes: whole blocks of 16, one at least."""
    return (n + 15) & -16 or 16


class CMAC:
    """AES-CMAC (RFC 4493, NIST SP 800-38B) under one key of 16 or 32 bytes.

    A CBC object goes on where it ended, and making one costs a key schedule. So it is kept, with `pads` beside it:
    the last block that it put out (16 bytes), K1 (16), K2 (16). Adding that block to the first one of the next
    message takes it away from the IV, which is zero again.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.ecb = aes(key, _ECB)
        self._whole = bytearray(self.ecb.encrypt(_ZERO))  # K1, for a whole last block
        double(self._whole)
        self._padded = bytearray(self._whole)  # K2, for a padded one
        double(self._padded)
        self._idle: list = []  # pairs of CBC object and pads, as many as were ever in use at once

    def _new(self) -> tuple:
        return aes(self._key, _CBC, _ZERO), bytearray(_ZERO + self._whole + self._padded)

    def tag(self, data) -> bytearray:
        """Return the 16-byte tag of `data`."""
        n = len(data)
        if n < 16:  # E4's timestamp: one block, and no CBC
            block = bytearray(self._padded)
            xor_into(block, data, n)
            block[n] ^= 0x80
            self.ecb.encrypt(block, block)
            return block
        buffer = bytearray(rounded(n))
        buffer[:n] = data
        self.consume(buffer, n, _ZERO)
        return buffer[-16:]

    def consume(self, buffer, n: int, end) -> None:
        """Leave the tag of the first `n` bytes of `buffer`, `end` added to the last 16 of them, in its last block.

        `buffer` has `rounded(n)` bytes, and none of them is left as it was.
        """
        idle = self._idle
        chain = idle.pop() if idle else self._new()
        cbc, pads = chain
        mask(buffer, n, end, pads)
        cbc.encrypt(buffer, buffer)
        copy_block(pads, buffer, len(buffer) - 16)
        idle.append(chain)

    def verifies(self, buffer, n: int, end, tag) -> bool:
        """Tell whether `consume` would leave `tag`. The first `n` bytes of `buffer`, a memoryview, stay as they are."""
        idle = self._idle
        chain = idle.pop() if idle else self._new()
        cbc, pads = chain
        mask(buffer, n, end, pads)
        out = _pool.pop() if _pool else bytearray(_POOLED)
        size = len(buffer)
        for start in range(0, size, _CHUNK):
            cbc.encrypt(buffer[start : start + _CHUNK], out)
        last = (size - 1) % _CHUNK - 15
        good = same(out, last, tag, 16)
        mask(buffer, n, end, pads)  # a second time: it only adds
        copy_block(pads, out, last)
        idle.append(chain)
        wipe(out, min(size, _CHUNK))
        _pool.append(out)
        return good


class SIV:
    """AES-SIV under a MAC key and an encryption key; the same key for both unless a second one is given."""

    def __init__(self, mac_key: bytes, ctr_key: bytes | None = None) -> None:
        self._cmac = CMAC(mac_key)
        self._ecb = aes(ctr_key, _ECB) if ctr_key is not None else self._cmac.ecb
        self._start = self._cmac.tag(_ZERO)  # S2V begins with CMAC(<zero>): the same for every message
        self._doubled = bytearray(self._start)
        double(self._doubled)

    def _s2v(self, ads, n: int) -> bytearray:
        """Return what S2V (RFC 5297 section 2.4) adds to the end of a message of n bytes after these strings."""
        before = self._doubled
        d = None
        for ad in ads:
            if d is not None:
                double(d)
                before = d
            d = self._cmac.tag(ad)
            xor_into(d, before, 16)
        if d is None:
            d = bytearray(self._start)
        if n < 16:
            double(d)
        return d

    def seal(self, message, *ads) -> bytes:
        """Return tag (16 bytes) and ciphertext of `message`."""
        return self.seal_after(b"", message, ads)

    def seal_after(self, head, message, ads) -> bytes:
        """Return `head`, up to 16 bytes, then tag and ciphertext of `message`."""
        n = len(message)
        start = len(head)
        size = (n + 15) & -16 or 16
        end = start + _TAG + size
        buffer = _pool.pop() if _pool and end <= _POOLED else bytearray(max(end, _POOLED))
        view = memoryview(buffer)
        buffer[:start] = head
        out = view[start:end]
        body = out[_TAG:]
        body[:n] = message
        self._cmac.consume(body, n, self._s2v(ads, n))
        copy_block(out, body, size - 16)
        counter_blocks(body, out, size >> 4)
        self._ecb.encrypt(body, body)
        xor_into(body, message, n)
        sealed = bytes(view[: start + _TAG + n])
        if end <= _POOLED:
            _pool.append(buffer)
        return sealed

    def open(self, sealed, *ads) -> bytes:
        """Return the message of tag and ciphertext.

        Raises NotAuthentic (and wipes the message) if the tag does not verify, TooShort if there is no tag.
        """
        n = len(sealed) - _TAG
        if n < 0:
            raise TooShort("AES-SIV output has at least 16 bytes")
        size = (n + 15) & -16 or 16
        buffer = _pool.pop() if _pool and size <= _POOLED else bytearray(max(size, _POOLED))
        work = memoryview(buffer)[:size]
        try:
            counter_blocks(work, sealed, size >> 4)
            self._ecb.encrypt(work, work)
            xor_into(work, memoryview(sealed)[_TAG:], n)
            if not self._cmac.verifies(work, n, self._s2v(ads, n), sealed):
                raise NotAuthentic("not authentic")
            return bytes(work[:n])
        finally:
            wipe(work, size)
            if size <= _POOLED:
                _pool.append(buffer)


def cipher(key: bytes) -> SIV:
    """Return the cipher of a 32-byte key; those of the last few keys are kept ready. Raises InvalidKey."""
    ready = _ciphers.get(key) if isinstance(key, bytes) else None
    if ready is None:
        key = check_key(key)
        ready = SIV(key)
        if len(_ciphers) >= _CIPHERS:
            _ciphers.clear()
        _ciphers[key] = ready
    return ready


def encrypt(key: bytes, ad: bytes, plaintext: bytes) -> bytes:
    """Return the 16-byte tag and the ciphertext of `plaintext`, as E4 uses AES-SIV.

    `key` has 32 bytes and serves both CMAC and CTR: RFC 5297 with the key `key || key` and one associated-data
    string. Raises InvalidKey.
    """
    return cipher(key).seal(plaintext, ad)


def decrypt(key: bytes, ad: bytes, ciphertext: bytes) -> bytes:
    """Return the plaintext of what `encrypt` made. Raises InvalidKey, NotAuthentic, TooShort."""
    return cipher(key).open(ciphertext, ad)
