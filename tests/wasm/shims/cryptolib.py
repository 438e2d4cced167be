"""AES (FIPS 197) in ordinary Python, for a MicroPython without the module `cryptolib`.

It is for tests only, because its time depends on the key.
"""

_ECB = 1
_CBC = 2


def _times_two(byte):
    return ((byte << 1) ^ 0x1B) & 0xFF if byte & 0x80 else byte << 1


def _substitution():
    """Return the S-box (FIPS 197 section 5.1.1). Inverses are computed with powers and logarithms to the base 3."""
    powers = []
    value = 1
    for _ in range(255):
        powers.append(value)
        value ^= _times_two(value)
    box = bytearray(256)
    for byte in range(256):
        inverse = powers[(255 - powers.index(byte)) % 255] if byte else 0
        mixed = inverse
        for _ in range(4):
            inverse = ((inverse << 1) | (inverse >> 7)) & 0xFF
            mixed ^= inverse
        box[byte] = mixed ^ 0x63
    return box


_S = _substitution()
_TWO = bytes(_times_two(byte) for byte in range(256))
# The place from which ShiftRows (FIPS 197 section 5.1.2) takes each byte.
_SHIFT = bytes((i + 4 * (i % 4)) % 16 for i in range(16))


def _round_keys(key):
    """Return the expanded key (FIPS 197 section 5.2): one block for the start and one for each round."""
    words = [key[i : i + 4] for i in range(0, len(key), 4)]
    size = len(words)
    constant = 1
    for i in range(size, 4 * (size + 7)):
        word = words[-1]
        if i % size == 0:
            word = bytes((_S[word[1]] ^ constant, _S[word[2]], _S[word[3]], _S[word[0]]))
            constant = _times_two(constant)
        elif size > 6 and i % size == 4:
            word = bytes(_S[byte] for byte in word)
        words.append(bytes(a ^ b for a, b in zip(words[i - size], word)))  # noqa: B905 (MicroPython's zip)
    return [b"".join(words[i : i + 4]) for i in range(0, len(words), 4)]


def _mix_columns(s):
    """Apply MixColumns (FIPS 197 section 5.1.3) to a state, and return the new state."""
    out = bytearray(16)
    for c in range(0, 16, 4):
        whole = s[c] ^ s[c + 1] ^ s[c + 2] ^ s[c + 3]
        for i in range(4):
            out[c + i] = s[c + i] ^ whole ^ _TWO[s[c + i] ^ s[c + (i + 1) % 4]]
    return out


class aes:  # noqa: N801 (MicroPython's name)
    """The part of MicroPython's `cryptolib.aes` that the library uses: `encrypt` in ECB and CBC mode."""

    def __init__(self, key, mode, iv=None):
        if len(key) not in (16, 32):
            raise ValueError("key")
        if mode not in (_ECB, _CBC) or (mode == _CBC and (iv is None or len(iv) != 16)):
            raise ValueError("mode")
        self._keys = _round_keys(bytes(key))
        self._chain = bytes(iv) if mode == _CBC else None

    def encrypt(self, data, out=None):
        if len(data) % 16:
            raise ValueError("blksize % 16")
        result = bytearray(len(data)) if out is None else out
        if len(result) < len(data):
            raise ValueError("output too small")
        for at in range(0, len(data), 16):
            block = bytes(data[at : at + 16])
            if self._chain is not None:
                block = bytes(a ^ b for a, b in zip(block, self._chain))  # noqa: B905
            block = self._encrypt_block(block)
            if self._chain is not None:
                self._chain = block
            result[at : at + 16] = block
        return bytes(result) if out is None else out

    def _encrypt_block(self, block):
        keys = self._keys
        s = bytearray(block[i] ^ keys[0][i] for i in range(16))
        for number in range(1, len(keys)):
            s = bytearray(_S[s[_SHIFT[i]]] for i in range(16))
            if number < len(keys) - 1:
                s = _mix_columns(s)
            key = keys[number]
            for i in range(16):
                s[i] ^= key[i]
        return bytes(s)
