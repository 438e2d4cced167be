"""AES-SIV (RFC 5297 section 2) and AES-CMAC (RFC 4493 section 2), block by block as the RFCs describe them.

Tests compare `lib/e4/siv.py` with it, so it is simple instead of fast. It uses nothing of the board but AES of single
blocks.
"""

from cryptolib import aes

_ZERO = bytes(16)


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))  # noqa: B905 (MicroPython's zip knows no `strict`)


def dbl(block):
    value = int.from_bytes(block, "big") << 1
    if value >> 128:
        value = (value & ((1 << 128) - 1)) ^ 0x87
    return value.to_bytes(16, "big")


def pad(data):
    return data + b"\x80" + bytes(15 - len(data))


class Reference:
    def __init__(self, key):
        self._aes = aes(key, 1)

    def cmac(self, data):
        k1 = dbl(self._aes.encrypt(_ZERO))
        whole = max((len(data) - 1) // 16, 0)
        last = data[16 * whole :]
        last = xor(last, k1) if len(last) == 16 else xor(pad(last), dbl(k1))
        x = _ZERO
        for i in range(whole):
            x = self._aes.encrypt(xor(x, data[16 * i : 16 * i + 16]))
        return self._aes.encrypt(xor(x, last))

    def s2v(self, ads, message):
        d = self.cmac(_ZERO)
        for ad in ads:
            d = xor(dbl(d), self.cmac(ad))
        if len(message) >= 16:
            return self.cmac(message[:-16] + xor(message[-16:], d))
        return self.cmac(xor(dbl(d), pad(message)))

    def ctr(self, tag, data):
        counter = int.from_bytes(tag, "big") & ~((1 << 63) | (1 << 31))
        out = b""
        for i in range(0, len(data), 16):
            out += xor(data[i : i + 16], self._aes.encrypt(counter.to_bytes(16, "big")))
            counter = (counter + 1) & ((1 << 128) - 1)
        return out

    def seal(self, message, *ads):
        tag = self.s2v(ads, message)
        return tag + self.ctr(tag, message)
