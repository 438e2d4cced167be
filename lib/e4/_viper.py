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
def xor_into(dst, src, n: int):
    d32 = ptr32(dst)
    s32 = ptr32(src)
    words = n >> 2
    i = 0
    while i < words:
        d32[i] = d32[i] ^ s32[i]
        i += 1
    d8 = ptr8(dst)
    s8 = ptr8(src)
    i = words << 2
    while i < n:
        d8[i] = d8[i] ^ s8[i]
        i += 1


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
def counter_blocks(dst, first, n: int):
    d32 = ptr32(dst)
    d8 = ptr8(dst)
    f32 = ptr32(first)
    f8 = ptr8(first)
    # The top bit of the last word is clear, so it counts up to 2**31 blocks without a carry beyond it.
    low = (f8[12] << 24) | (f8[13] << 16) | (f8[14] << 8) | f8[15]
    i = 0
    while i < n:
        w = i << 2
        d32[w] = f32[0]
        d32[w + 1] = f32[1]
        d32[w + 2] = f32[2]
        b = (i << 4) + 12
        d8[b] = low >> 24
        d8[b + 1] = low >> 16
        d8[b + 2] = low >> 8
        d8[b + 3] = low
        low += 1
        i += 1


@micropython.viper
def same(a, b, n: int) -> bool:
    a8 = ptr8(a)
    b8 = ptr8(b)
    different = 0
    i = 0
    while i < n:
        different |= a8[i] ^ b8[i]
        i += 1
    return different == 0


@micropython.viper
def holds(ring, entry, n: int) -> bool:
    r32 = ptr32(ring)
    e32 = ptr32(entry)
    i = 0
    end = n * 3
    while i < end:
        # The differences and not the words are compared: a load's upper half is not the same on all boards.
        if (r32[i] ^ e32[0]) == 0 and (r32[i + 1] ^ e32[1]) == 0 and (r32[i + 2] ^ e32[2]) == 0:
            return True
        i += 3
    return False


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
