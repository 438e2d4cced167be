"""AES-SIV (RFC 5297) on the two modes that the board's `cryptolib` has, ECB and CBC.

CBC with a zero IV over a whole message is the inner loop of CMAC; ECB over a batch of counter blocks is CTR.
So a message costs one call of each, and a short one of ECB for the stamp; opening, one of CBC for each KiB. The rest is
kept out of the interpreter by `loops`.

All of it may be entered again at any moment, by an interrupt or a scheduled callback.
"""

from struct import pack_into

from cryptolib import aes

from e4._const import const
from e4.errors import InvalidKey, NotAuthentic, TooShort
from e4.loops import copy_block, counter_blocks, double, equal_blocks, pad_and_mask, stamped_block, wipe, xor_into

_KEY = const(32)  # bytes
_TAG = const(16)
_ECB = const(1)
_CBC = const(2)
_HEAD = const(32)  # bytes of a workspace before the message: 8 of room (so that it is aligned to 16), timestamp, tag
_STAMP = const(8)
_CHUNK = const(1024)  # bytes of a message that go through CBC at once while a tag is checked
_POOLED = const(1024)  # bytes of a message for which a workspace is kept; a chunk must fit into it
_CIPHERS = const(4)  # ciphers that `cipher` keeps ready
_ZERO = bytes(16)

# Workspaces that no call is using: two, unless a call interrupted another one. Who pops one has it alone, which no flag
# could promise where an interrupt may come between any two steps; even between a look and the pop after it, so whether
# there is one the pop tells. Plaintext that is not verified and the tag that was expected are wiped before a workspace
# comes back (RFC 5297 section 2.7); the copies that `_loops_plain` makes cannot be.
_pool: list = []
_ciphers: dict = {}  # key: SIV


def _taken(idle: list):
    """Return one that nobody else has then, or None."""
    try:
        return idle.pop()
    except IndexError:
        return None


def _workspace(size: int) -> list:
    """Return a workspace for whole blocks: its buffer, a view of that, 16 bytes, `size`, a view of the message.

    A slice allocates twice, so the view of the message is kept: the next one often has the same size.
    """
    work = _taken(_pool) if size <= _POOLED else None
    if work is None:
        buffer = bytearray(_HEAD + max(size, _POOLED))
        work = [buffer, memoryview(buffer), bytearray(16), 0, None]
    if work[3] != size:
        work[3] = size
        work[4] = work[1][_HEAD : _HEAD + size]
    return work


def check_key(key: bytes) -> bytes:
    """Return `key` as 32 bytes that are not all zero. Raises InvalidKey."""
    if isinstance(key, str) or len(key) != _KEY or not any(key):
        raise InvalidKey("a symmetric key has 32 bytes, not all of them zero")
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
        self.padded = bytearray(self._whole)  # K2, for a padded one
        double(self.padded)
        self.idle: list = []  # pairs of CBC object and pads, as many as were ever in use at once

    def chain(self) -> tuple:
        """Return a CBC object and its pads.

        Whoever is done with them copies the last block that came out to the start of the pads, and only then appends
        the pair to `idle`. After an exception before that it has to be dropped, for nobody knows its IV.
        """
        return _taken(self.idle) or (aes(self._key, _CBC, _ZERO), bytearray(_ZERO + self._whole + self.padded))

    def tag(self, data) -> bytearray:
        """Return the 16-byte tag of `data`."""
        n = len(data)
        if n < 16:  # here `pad_and_mask` would add K1, as S2V wants it
            tag = bytearray(self.padded)
            xor_into(tag, data, n, 0)
            tag[n] ^= 0x80
            self.ecb.encrypt(tag, tag)
            return tag
        buffer = bytearray(rounded(n))
        buffer[:n] = data
        chain = self.chain()
        cbc, pads = chain
        pad_and_mask(buffer, pads, n, _ZERO)
        cbc.encrypt(buffer, buffer)
        tag = buffer[-16:]
        copy_block(pads, tag, 0, 0)
        self.idle.append(chain)
        return tag


class SIV:
    """AES-SIV under a MAC key and an encryption key; the same key for both unless a second one is given."""

    def __init__(self, mac_key: bytes, ctr_key: bytes | None = None) -> None:
        self._cmac = cmac = CMAC(mac_key)
        # Ours as well: an attribute less to look up for each message, and where one is idle no call of `chain`.
        self._mac_ecb, self._padded, self._idle = cmac.ecb, cmac.padded, cmac.idle
        self._ecb = aes(ctr_key, _ECB) if ctr_key is not None else cmac.ecb
        self._start = cmac.tag(_ZERO)  # S2V begins with CMAC(<zero>): the same for every message
        self._doubled = bytearray(self._start)
        double(self._doubled)

    def seal(self, message, *ads) -> bytes:
        """Return tag (16 bytes) and ciphertext of `message`."""
        return self._seal(message, ads, 0)

    def seal_stamped(self, message, timestamp: int) -> bytes:
        """Return `timestamp` (8 bytes, little-endian), then tag and ciphertext of `message`, authenticated with it."""
        return self._seal(message, None, timestamp)

    def open(self, sealed, *ads) -> bytes:
        """Return the message of tag and ciphertext.

        Raises NotAuthentic (and wipes the message) if the tag does not verify, TooShort if there is no tag.
        """
        return self._open(sealed, 0, ads)

    def open_stamped(self, payload) -> bytes:
        """Return the message of what `seal_stamped` made. Raises as `open`."""
        return self._open(payload, _STAMP, None)

    def _s2v(self, d, ads) -> None:
        """Put into `d` what S2V (RFC 5297 section 2.4) has computed before it comes to the message."""
        if len(ads) == 1 and len(ads[0]) == _STAMP:
            self._s2v_stamp(d, ads[0], 0)
            return
        copy_block(d, self._start, 0, 0)
        for ad in ads:
            double(d)
            xor_into(d, self._cmac.tag(ad), 16, 0)

    def _s2v_stamp(self, d, data, start: int) -> None:
        """Do what `_s2v` does for one string of 8 bytes, `data[start:]`: one block, and no CBC."""
        stamped_block(d, data, self._padded, start)
        self._mac_ecb.encrypt(d, d)
        xor_into(d, self._doubled, 16, 0)

    def _seal(self, message, ads, timestamp: int) -> bytes:
        """Seal a message with the strings `ads`, or, if that is None, with a timestamp, which goes before it."""
        n = len(message)
        size = rounded(n)
        work = _workspace(size)
        buffer, view, d, _, body = work
        start = _HEAD - _TAG
        if ads is None:
            start -= _STAMP
            pack_into("<Q", buffer, start, timestamp)
            self._s2v_stamp(d, buffer, start)
        else:
            self._s2v(d, ads)
        if n < 16:
            double(d)
        chain = _taken(self._idle) or self._cmac.chain()
        cbc, pads = chain
        body[:n] = message  # from here to the encryption nothing allocates, and so nothing fails
        pad_and_mask(body, pads, n, d)
        cbc.encrypt(body, body)
        copy_block(pads, body, 0, size - 16)
        self._idle.append(chain)
        copy_block(buffer, body, _HEAD - _TAG, size - 16)
        counter_blocks(body, buffer, size >> 4, _HEAD - _TAG)
        self._ecb.encrypt(body, body)
        xor_into(body, message, n, 0)
        sealed = bytes(view[start : _HEAD + n])
        if size <= _POOLED:
            _pool.append(work)
        return sealed

    def _open(self, sealed, start: int, ads) -> bytes:
        """Open what begins with its tag at `start`, with the strings `ads`, or with the timestamp before it if None."""
        n = len(sealed) - start - _TAG
        if n < 0:
            raise TooShort("AES-SIV output has at least 16 bytes")
        size = rounded(n)
        work = _workspace(size)
        _, view, d, _, body = work
        if ads is None:
            self._s2v_stamp(d, sealed, 0)
        else:
            self._s2v(d, ads)
        if n < 16:
            double(d)
        try:
            counter_blocks(body, sealed, size >> 4, start)
            self._ecb.encrypt(body, body)
            xor_into(body, sealed, n, start + _TAG)
            if not self._verifies(body, n, d, sealed, start):
                raise NotAuthentic("not authentic")
            return bytes(view[_HEAD : _HEAD + n])
        finally:
            wipe(body, size)
            if size <= _POOLED:
                _pool.append(work)

    def _verifies(self, body, n: int, d, sealed, start: int) -> bool:
        """Tell whether the tag of a message is the one in `sealed[start:]`. The message stays as it is."""
        size = len(body)
        work = _taken(_pool) or _workspace(16)  # whatever view it has stays
        out = work[0]
        chain = _taken(self._idle) or self._cmac.chain()
        cbc, pads = chain
        pad_and_mask(body, pads, n, d)
        if size <= _CHUNK:
            cbc.encrypt(body, out)
        else:
            for at in range(0, size, _CHUNK):
                cbc.encrypt(body[at : at + _CHUNK], out)
        last = (size - 1) % _CHUNK - 15
        good = equal_blocks(out, sealed, last, start)
        pad_and_mask(body, pads, n, d)  # a second time: it only adds
        copy_block(pads, out, 0, last)
        self._idle.append(chain)
        wipe(out, min(size, _CHUNK))
        _pool.append(work)
        return good


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
