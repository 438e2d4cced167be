"""The inner loops as machine code. See `blocks` for their contracts.

Viper integers have 32 bits on the board and 64 on a PC, and a `ptr32` load is sign-extended on the one and
zero-extended on the other. What is written here is right on both: everything passes through a `ptr32` or
`ptr8` store, which cuts it to size; loads are cast to `uint` before a right shift; no shift reaches 32;
complement is `^ -1`.
"""

import micropython

from e4._keccak_tables import LANES, ROTATIONS, ROUND_CONSTANTS

_row = bytearray(14 * 4)  # one plane of five lanes, and its first two again, so that no index needs a modulo


@micropython.viper
def xor_into(dst, src, start: int, n: int):
    d = ptr32(dst)
    s = ptr32(uint(ptr8(src)) + uint(start))
    blocks = n >> 4
    while blocks:  # moving pointers, constant offsets: half the instructions of an index
        d[0] = d[0] ^ s[0]
        d[1] = d[1] ^ s[1]
        d[2] = d[2] ^ s[2]
        d[3] = d[3] ^ s[3]
        d = ptr32(uint(d) + 16)
        s = ptr32(uint(s) + 16)
        blocks -= 1
    d8 = ptr8(d)
    s8 = ptr8(s)
    n &= 15
    i = 0
    while i < n:
        d8[i] = d8[i] ^ s8[i]
        i += 1


@micropython.viper
def copy_block(dst, at: int, src, start: int):
    d = ptr32(uint(ptr8(dst)) + uint(at))
    s = ptr32(uint(ptr8(src)) + uint(start))
    d[0] = s[0]
    d[1] = s[1]
    d[2] = s[2]
    d[3] = s[3]


@micropython.viper
def double(value):
    block = ptr8(value)
    carry = (block[0] >> 7) * 0x87  # the reduction, selected without a branch on a secret bit
    i = 0
    while i < 15:
        block[i] = (block[i] << 1) | (block[i + 1] >> 7)
        i += 1
    block[15] = (block[15] << 1) ^ carry


@micropython.viper
def mask(buffer, n: int, end, pads):
    b = ptr8(buffer)
    p = ptr8(pads)
    e = ptr8(end)
    tail = n - 16
    last = ((n + 15) & -16) - 16
    k = 16  # K1
    if n < 16:
        tail = 0
        last = 0
    elif n & 15:
        k = 32  # K2
    if n < last + 16:
        b[n] = 0x80
        i = n + 1
        while i < last + 16:
            b[i] = 0
            i += 1
    i = 0
    while i < 16:
        b[i] = b[i] ^ p[i]
        b[tail + i] = b[tail + i] ^ e[i]
        b[last + i] = b[last + i] ^ p[k + i]
        i += 1


@micropython.viper
def stamped_block(dst, pad, payload, start: int):
    d = ptr32(dst)
    k = ptr32(pad)
    p = ptr32(uint(ptr8(payload)) + uint(start))
    d[0] = k[0] ^ p[0]
    d[1] = k[1] ^ p[1]
    d[2] = k[2] ^ 0x80
    d[3] = k[3]


@micropython.viper
def counter_blocks(dst, src, start: int, n: int):
    d = ptr32(dst)
    t8 = ptr8(uint(ptr8(src)) + uint(start))
    t = ptr32(t8)
    w0 = t[0]
    w1 = t[1]
    w2 = t[2]
    w2 ^= w2 & 0x80
    high = ((t8[12] & 0x7F) << 16) | (t8[13] << 8) | t8[14]
    low = t8[15]
    while n > 0:
        # 256 blocks at most share all but their last byte, which is the high byte of a little-endian word.
        w3 = (high >> 16) | (high & 0xFF00) | ((high & 0xFF) << 16)
        while n > 0 and low < 256:
            d[0] = w0
            d[1] = w1
            d[2] = w2
            d[3] = w3 | (low << 24)
            d = ptr32(uint(d) + 16)
            low += 1
            n -= 1
        low = 0
        high += 1


@micropython.viper
def same(a, i: int, b, j: int) -> bool:
    a8 = ptr8(uint(ptr8(a)) + uint(i))
    b8 = ptr8(uint(ptr8(b)) + uint(j))
    different = 0
    i = 0
    while i < 16:
        different |= a8[i] ^ b8[i]
        i += 1
    return different == 0


@micropython.viper
def known(e: ptr32, p: ptr32) -> int:  # parameters, as long as they are three, live in registers
    n = e[0]
    full = e[3]
    ahead = p[0] - e[2]  # of its 32 lower bits, the highest is the sign
    while n > 0:
        # The differences and not the words are compared: a load's upper half is not the same on all boards.
        if (e[5] ^ p[2]) == 0 and (e[6] ^ p[3]) == 0 and (e[4] ^ p[0]) == 0:
            return 1
        e = ptr32(uint(e) + 12)
        n -= 1
    if full == 0:
        return 0
    if ahead == 0:
        return 3
    return ((ahead >> 31) & 1) << 1


@micropython.viper
def remember(ring, payload, size: int):
    r = ptr32(ring)
    p = ptr32(payload)
    at = r[1]
    e = ptr32(uint(r) + uint(16 + 12 * at))
    if r[0] < size:
        r[0] = r[0] + 1
    else:
        ahead = e[0] - r[2]
        if r[3] == 0 or ((ahead >> 31) & 1) == 0:
            r[2] = e[0]
        r[3] = 1
    e[0] = p[0]
    e[1] = p[2]
    e[2] = p[3]
    at += 1
    if at == size:
        at = 0
    r[1] = at


@micropython.viper
def wipe(buffer, n: int):
    b = ptr8(buffer)
    while n & 3:
        n -= 1
        b[n] = 0
    w = ptr32(buffer)
    n >>= 2
    while n:
        n -= 1
        w[n] = 0


@micropython.viper
def _theta(s: ptr32):
    c = ptr32(_row)
    i = 0
    while i < 10:
        c[i] = s[i] ^ s[i + 10] ^ s[i + 20] ^ s[i + 30] ^ s[i + 40]
        i += 1
    c[10] = c[0]
    c[11] = c[1]
    x = 0
    before = 8
    while x < 10:
        low = uint(c[x + 2])
        high = uint(c[x + 3])
        d_low = int((low << 1) | (high >> 31)) ^ c[before]
        d_high = int((high << 1) | (low >> 31)) ^ c[before + 1]
        i = x
        while i < 50:
            s[i] = s[i] ^ d_low
            s[i + 1] = s[i + 1] ^ d_high
            i += 10
        before = x
        x += 2


@micropython.viper
def _rho_pi(s: ptr32):
    rotations = ptr8(ROTATIONS)
    lanes = ptr8(LANES)
    low = uint(s[2])
    high = uint(s[3])
    i = 0
    while i < 24:
        n = rotations[i]
        lane = lanes[i] << 1
        waiting_low = uint(s[lane])
        waiting_high = uint(s[lane + 1])
        if n < 32:
            s[lane] = int((low << n) | (high >> (32 - n)))
            s[lane + 1] = int((high << n) | (low >> (32 - n)))
        else:
            n -= 32  # never 0: no rotation of Keccak is 32
            s[lane] = int((high << n) | (low >> (32 - n)))
            s[lane + 1] = int((low << n) | (high >> (32 - n)))
        low = waiting_low
        high = waiting_high
        i += 1


@micropython.viper
def _chi(s: ptr32):
    c = ptr32(_row)
    y = 0
    while y < 50:
        i = 0
        while i < 10:
            c[i] = s[y + i]
            i += 1
        c[10] = c[0]
        c[11] = c[1]
        c[12] = c[2]
        c[13] = c[3]
        i = 0
        while i < 10:
            s[y + i] = c[i] ^ ((c[i + 2] ^ -1) & c[i + 4])
            i += 1
        y += 10


@micropython.viper
def keccak_f(state):
    s = ptr32(state)
    constants = ptr32(ROUND_CONSTANTS)
    i = 0
    while i < 48:
        _theta(state)
        _rho_pi(state)
        _chi(state)
        s[0] = s[0] ^ constants[i]
        s[1] = s[1] ^ constants[i + 1]
        i += 2
