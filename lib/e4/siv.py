"""AES-SIV (RFC 5297) on the two modes that the board's `cryptolib` has, ECB and CBC.

CMAC is what CBC with a zero IV puts out last, and CTR is ECB over counter blocks. So protecting a message takes one
call of CBC, one of ECB, and a short one of ECB for the timestamp. Opening takes one call of CBC for each KiB, and one
of ECB, which includes the timestamp. The work between these calls is done by `loops`, because the interpreter would
take longer for it than AES does.

Every function may be called from an interrupt or a scheduled callback while another call is in progress.
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
_HEAD = const(32)  # bytes of a workspace before the message: 8 unused (the message then begins at 32), timestamp, tag
_STAMP = const(8)
_CHUNK = const(1024)  # bytes of a message that go through CBC at once while a tag is checked
_POOLED = const(1024)  # bytes of a message for which a workspace is kept; a chunk must fit into it
_CIPHERS = const(4)  # ciphers that `cipher` keeps
_ZERO = bytes(16)

# The workspaces that no call is using. Usually there are two, and more if one call interrupted another. A call takes a
# workspace out of the list with `pop` and appends it again when it is done, so no other call can use it meanwhile. A
# flag "in use" could not promise that: an interrupt may come between testing the flag and setting it. Before a
# workspace goes back, plaintext and the expected tag are wiped from it (RFC 5297 section 2.7), because the next call
# might show what it contains. The copies that `_loops_plain` makes cannot be wiped.
_pool: list[list] = []
_ciphers: dict[bytes, "SIV"] = {}  # by key; see `cipher`


def _take_idle(idle: list):
    """Take an object out of a list of idle ones, so that only the caller has it. Return None if there is none.

    It does not test whether the list is empty first: an interrupt could take the last object after that test.
    """
    try:
        return idle.pop()
    except IndexError:
        return None


def _workspace(size: int) -> list:
    """Return a workspace for a message of `size` bytes in whole blocks, which nobody else has.

    It is a list: buffer, view of the buffer, view of the block for S2V (where the tag is written later), `size`, view
    of the message in the buffer, view of that block and the message. The last two views are kept with their size,
    because a slice allocates twice, and the next message often has the same size.
    """
    work = _take_idle(_pool) if size <= _POOLED else None
    if work is None:
        buffer = bytearray(_HEAD + max(size, _POOLED))
        view = memoryview(buffer)
        work = [buffer, view, view[_HEAD - _TAG : _HEAD], 0, None, None]
    if work[3] != size:
        work[3] = size
        work[4] = work[1][_HEAD : _HEAD + size]
        work[5] = work[1][_HEAD - _TAG : _HEAD + size]
    return work


def check_key(key: bytes) -> bytes:
    """Return `key` as 32 bytes that are not all zero. Raises InvalidKey."""
    if isinstance(key, str) or len(key) != _KEY or not any(key):
        raise InvalidKey("a symmetric key has 32 bytes, not all of them zero")
    return bytes(key)


def buffer_size(n: int) -> int:
    """Return the size of a buffer for n bytes: whole blocks of 16, one at least."""
    return (n + 15) & -16 or 16


class CMAC:
    """AES-CMAC (RFC 4493, NIST SP 800-38B) under one key of 16 or 32 bytes.

    CMAC needs CBC with a zero IV for every message, but making a CBC object for each would cost a key schedule and
    heap for each. So CBC objects are kept. A kept object continues: it adds the last block that it put out to
    the first block of the next message, as if that were the IV. Therefore each object is kept together with `pads`, 48
    bytes: that last block (16), K1 (16), K2 (16). `pad_and_mask` adds the first 16 bytes of `pads` to the message,
    which cancels the block, and the IV is zero again. If the pads did not fit the object, every later tag would be
    wrong.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.ecb = aes(key, _ECB)
        self._whole = bytearray(self.ecb.encrypt(_ZERO))  # K1, for a whole last block
        double(self._whole)
        self.padded = bytearray(self._whole)  # K2, for a padded one
        double(self.padded)
        # Pairs of CBC object and pads that no call is using: as many as were ever in use at the same time.
        self.idle: list[tuple[aes, bytearray]] = []

    def chain(self) -> tuple[aes, bytearray]:
        """Return a CBC object and its pads, which nobody else has.

        After using the object, the caller copies the last block that it put out to the start of the pads, and then
        appends the pair to `idle`. If an exception comes before that, the caller must drop the pair, because the pads
        no longer fit the object.
        """
        return _take_idle(self.idle) or (aes(self._key, _CBC, _ZERO), bytearray(_ZERO + self._whole + self.padded))

    def tag(self, data: bytes) -> bytearray:
        """Return the 16-byte tag of `data`."""
        n = len(data)
        if n < 16:  # `pad_and_mask` would add K1 here, which is right for S2V only
            tag = bytearray(self.padded)
            xor_into(tag, data, n, 0)
            tag[n] ^= 0x80
            self.ecb.encrypt(tag, tag)
            return tag
        buffer = bytearray(buffer_size(n))
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
        # They are also attributes of this object: this saves a look-up for each message, and, where a chain is idle, a
        # call of `chain`.
        self._mac_ecb, self._padded, self._idle = cmac.ecb, cmac.padded, cmac.idle
        self._ecb = aes(ctr_key, _ECB) if ctr_key is not None else cmac.ecb
        self._start = cmac.tag(_ZERO)  # S2V begins with CMAC(<zero>), which is the same for every message
        self._doubled = bytearray(self._start)
        double(self._doubled)

    def seal(self, message: bytes, *ads: bytes) -> bytes:
        """Return tag (16 bytes) and ciphertext of `message`."""
        return self._seal(message, ads, 0)

    def seal_stamped(self, message: bytes, timestamp: int) -> bytes:
        """Return `timestamp` (8 bytes, little-endian), then tag and ciphertext of `message`, authenticated with it."""
        return self._seal(message, None, timestamp)

    def open(self, sealed: bytes, *ads: bytes) -> bytes:
        """Return the message of tag and ciphertext.

        Raises NotAuthentic (and wipes the message) if the tag does not verify, TooShort if there is no tag.
        """
        return self._open(sealed, 0, ads)

    def open_stamped(self, payload: bytes) -> bytes:
        """Return the message in what `seal_stamped` returned. Raises NotAuthentic, TooShort."""
        return self._open(payload, _STAMP, None)

    def _s2v(self, d, ads) -> None:
        """Put S2V of the strings `ads` (RFC 5297 section 2.4) into `d`, up to the step that takes in the message."""
        if len(ads) == 1 and len(ads[0]) == _STAMP:
            self._s2v_stamp(d, ads[0], 0)
            return
        copy_block(d, self._start, 0, 0)
        for ad in ads:
            double(d)
            xor_into(d, self._cmac.tag(ad), 16, 0)

    def _s2v_stamp(self, d, data, start: int) -> None:
        """Compute what `_s2v` does for the one string data[start:start + 8]. It is a single block, and takes no CBC."""
        stamped_block(d, data, self._padded, start)
        self._mac_ecb.encrypt(d, d)
        xor_into(d, self._doubled, 16, 0)

    def _seal(self, message, ads, timestamp: int) -> bytes:
        """Seal a message with the strings `ads`, or, if that is None, with a timestamp, which then comes first."""
        n = len(message)
        size = buffer_size(n)
        work = _workspace(size)
        buffer, view, d, _, body, _ = work
        start = _HEAD - _TAG
        if ads is None:
            start -= _STAMP
            pack_into("<Q", buffer, start, timestamp)
            self._s2v_stamp(d, buffer, start)
        else:
            self._s2v(d, ads)
        if n < 16:
            double(d)
        chain = _take_idle(self._idle) or self._cmac.chain()
        cbc, pads = chain
        body[:n] = message  # nothing from here to `encrypt` allocates, so no MemoryError leaves plaintext behind
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
        """Open sealed[start:], which is a tag and a ciphertext.

        `ads` are the strings that were sealed with it; None means the timestamp, the first 8 bytes of `sealed`.
        """
        n = len(sealed) - start - _TAG
        if n < 0:
            raise TooShort("AES-SIV output has at least 16 bytes")
        size = buffer_size(n)
        work = _workspace(size)
        _, view, d, _, body, lead = work
        try:
            counter_blocks(body, sealed, size >> 4, start)
            if ads is None and self._ecb is self._mac_ecb:
                # S2V of a timestamp takes one block of ECB, under the same key: it goes through with the others.
                stamped_block(d, sealed, self._padded, 0)
                self._ecb.encrypt(lead, lead)
                xor_into(d, self._doubled, 16, 0)
            else:
                self._s2v(d, (sealed[:_STAMP],) if ads is None else ads)
                self._ecb.encrypt(body, body)
            if n < 16:
                double(d)
            xor_into(body, sealed, n, start + _TAG)
            if not self._verifies(body, n, d, sealed, start):
                raise NotAuthentic("not authentic")
            return bytes(view[_HEAD : _HEAD + n])
        finally:
            wipe(body, size)
            if size <= _POOLED:
                _pool.append(work)

    def _verifies(self, body, n: int, d, sealed, start: int) -> bool:
        """Return whether the tag of a message is sealed[start:start + 16]. The message is the same again afterwards."""
        size = len(body)
        work = _take_idle(_pool) or _workspace(16)  # its view of the message is not used here
        out = work[0]
        chain = _take_idle(self._idle) or self._cmac.chain()
        cbc, pads = chain
        pad_and_mask(body, pads, n, d)
        if size <= _CHUNK:
            cbc.encrypt(body, out)
        else:
            for at in range(0, size, _CHUNK):
                cbc.encrypt(body[at : at + _CHUNK], out)
        last = (size - 1) % _CHUNK - 15
        good = equal_blocks(out, sealed, last, start)
        pad_and_mask(body, pads, n, d)  # the second time takes away what the first time has added
        copy_block(pads, out, 0, last)
        self._idle.append(chain)
        wipe(out, min(size, _CHUNK))
        _pool.append(work)
        return good


def cipher(key: bytes) -> SIV:
    """Return the cipher of a 32-byte key. The last few ciphers are kept. Raises InvalidKey."""
    siv = _ciphers.get(key) if isinstance(key, bytes) else None
    if siv is None:
        key = check_key(key)
        siv = SIV(key)
        if len(_ciphers) >= _CIPHERS:
            _ciphers.clear()
        _ciphers[key] = siv
    return siv


def encrypt(key: bytes, ad: bytes, plaintext: bytes) -> bytes:
    """Return the 16-byte tag and the ciphertext of `plaintext`, as E4 uses AES-SIV.

    `key` has 32 bytes and serves both CMAC and CTR: RFC 5297 with the key `key || key` and one associated-data
    string. Raises InvalidKey.
    """
    return cipher(key).seal(plaintext, ad)


def decrypt(key: bytes, ad: bytes, ciphertext: bytes) -> bytes:
    """Return the plaintext in what `encrypt` returned. Raises InvalidKey, NotAuthentic, TooShort."""
    return cipher(key).open(ciphertext, ad)
