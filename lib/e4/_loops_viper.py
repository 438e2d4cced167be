"""The inner loops as machine code. `loops` says what each function does.

Integers of viper have 32 bits on a board and 64 on a PC. A word of 2**31 or more that is loaded through a `ptr32` is
negative on a board and positive on a PC, so it must not be compared with `<`, and must not be returned. To compute the
same on both, this code follows four rules. Every result is stored through a `ptr32` or `ptr8`, which cuts it to size. A
value that is shifted to the right is cast to `uint` first, or all of its bits but the lowest are masked away. No shift
is by 32 or more. The complement is written as `^ -1`.

Nothing is checked here: a buffer that is shorter than `loops` says would be overrun. Payloads have 8 bytes at least.
Words are loaded and stored at any address. Xtensa and x86 allow that; a Cortex-M0 does not, and would fault.

The compiler keeps the first three parameters and variables of a function in registers, parameters first. So the ones
that are used most come first.
"""

import micropython

from e4._keccak_tables import LANES, ROTATIONS, ROUND_CONSTANTS

# One plane of five lanes, followed by its first two lanes again, so that no index needs a modulo. All calls share it.
# They cannot disturb each other, because no other Python code runs between two instructions of machine code; that would
# be wrong only on a port that has threads and no lock around the interpreter.
_row = bytearray(14 * 4)


@micropython.viper
def xor_into(d: ptr32, s: ptr32, n: int, start: int):
    s = ptr32(uint(s) + start)
    while n >= 16:  # constant offsets from moving pointers take half the instructions of an index
        d[0] = d[0] ^ s[0]
        d[1] = d[1] ^ s[1]
        d[2] = d[2] ^ s[2]
        d[3] = d[3] ^ s[3]
        d = ptr32(uint(d) + 16)
        s = ptr32(uint(s) + 16)
        n -= 16
    d8 = ptr8(d)
    s8 = ptr8(s)
    while n:
        n -= 1
        d8[n] = d8[n] ^ s8[n]


@micropython.viper
def copy_block(d: ptr32, s: ptr32, at: int, start: int):
    d = ptr32(uint(d) + at)
    s = ptr32(uint(s) + start)
    d[0] = s[0]
    d[1] = s[1]
    d[2] = s[2]
    d[3] = s[3]


@micropython.viper
def double(block: ptr8):
    carry = (block[0] >> 7) * 0x87  # the reduction; a branch on this secret bit would show in the time
    i = 0
    while i < 15:
        block[i] = (block[i] << 1) | (block[i + 1] >> 7)
        i += 1
    block[15] = (block[15] << 1) ^ carry


@micropython.viper
def pad_and_mask(b: ptr8, p: ptr8, n: int, e: ptr8):
    tail = ptr8(uint(b) + (n - 16))
    last = (n - 1) & -16
    k = ptr8(uint(p) + 16)  # K1
    if n < 16:
        tail = b
        last = 0
    elif n & 15:
        k = ptr8(uint(p) + 32)  # K2
    end = ptr8(uint(b) + last)
    last += 16
    pad = 0x80
    while last - n:
        b[n] = pad
        pad = 0
        n += 1
    n = 16
    while n:
        n -= 1
        b[n] = b[n] ^ p[n]
        tail[n] = tail[n] ^ e[n]
        end[n] = end[n] ^ k[n]


@micropython.viper
def stamped_block(d: ptr32, p: ptr32, k: ptr32, start: int):
    p = ptr32(uint(p) + start)
    d[0] = k[0] ^ p[0]
    d[1] = k[1] ^ p[1]
    d[2] = k[2] ^ 0x80
    d[3] = k[3]


@micropython.viper
def counter_blocks(d: ptr32, t: ptr32, n: int, start: int):
    t = ptr32(uint(t) + start)
    t8 = ptr8(t)
    w2 = t[2] & (0x80 ^ -1)
    high = ((t8[12] & 0x7F) << 16) | (t8[13] << 8) | t8[14]
    low = t8[15]
    while n:
        # Up to 256 blocks share all but their last byte, which is the high byte of a little-endian word.
        w3 = (high >> 16) | (high & 0xFF00) | ((high & 0xFF) << 16)
        while n and low < 256:
            d[0] = t[0]
            d[1] = t[1]
            d[2] = w2
            d[3] = w3 | (low << 24)
            d = ptr32(uint(d) + 16)
            low += 1
            n -= 1
        low = 0
        high += 1


@micropython.viper
def equal_blocks(a: ptr8, b: ptr8, i: int, j: int) -> bool:
    a = ptr8(uint(a) + i)
    b = ptr8(uint(b) + j)
    different = 0
    i = 16
    while i:
        i -= 1
        different |= a[i] ^ b[i]
    return different == 0


@micropython.viper
def find_in_ring(r: ptr32, p: ptr32, d: ptr32, age: int) -> int:
    r[3] = p[0] - 0x3C3C3C3C
    at = r[1]
    new = -1  # `_NO_ROOM` of `recent_messages`, which explains the other numbers, too
    while 1:
        at = (at if at - 20 else r[0]) - 12
        e = ptr32(uint(r) + at)
        if uint(e[0]) < uint(r[3]):
            new = at + 12 - r[1]
            break
        if (e[1] ^ d[2]) | (e[2] ^ d[3]) | (e[0] ^ r[3]):
            if at == r[1]:
                break
        else:
            return 1
    at = r[1] - r[4]
    if at < 20:
        at += r[0] - 20
    e = ptr32(uint(r) + at)  # the first entry of the later half
    if age < 0 and uint(e[0]) > uint(r[3]) + uint(age):
        return 4
    at = (at if at - 20 else r[0]) - 12
    e = ptr32(uint(r) + at)  # the last entry of the earlier half
    return new if uint(r[3]) > uint(r[2]) else 2 if e[0] ^ r[3] else 3


@micropython.viper
def add_to_ring(r: ptr32, p: ptr32, d: ptr32):
    r[3] = p[0] - 0x3C3C3C3C
    at = r[1]
    e = ptr32(uint(r) + at)
    r[2] = e[0]
    if uint(r[3]) < uint(e[0]):
        r[2] = r[3]
        return
    r[1] = at + 12
    if r[1] == r[0]:
        r[1] = 20
    while at - r[1]:  # move all later entries up by one place
        at = (at if at - 20 else r[0]) - 12
        f = ptr32(uint(r) + at)
        if uint(f[0]) <= uint(r[3]):
            break
        e[0] = f[0]
        e[1] = f[1]
        e[2] = f[2]
        e = f
    e[0] = r[3]
    e[1] = d[2]
    e[2] = d[3]


@micropython.viper
def wipe(b: ptr8, n: int):
    w = ptr32(b)
    while n & 3:
        n -= 1
        b[n] = 0
    n >>= 2
    while n:
        n -= 1
        w[n] = 0


@micropython.viper
def _theta_rho_pi(s: ptr32):
    i = 0
    c = ptr32(_row)
    while i < 10:
        c[i] = s[i] ^ s[i + 10] ^ s[i + 20] ^ s[i + 30] ^ s[i + 40]
        i += 1
    c[10] = c[0]
    c[11] = c[1]
    i = 0
    before = 8
    while i < 10:
        low = uint(c[i + 2])
        high = uint(c[i + 3])
        d_low = int((low << 1) | (high >> 31)) ^ c[before]
        d_high = int((high << 1) | (low >> 31)) ^ c[before + 1]
        before = i
        while i < 50:
            s[i] = s[i] ^ d_low
            s[i + 1] = s[i + 1] ^ d_high
            i += 10
        i = before + 2
    rotations = ptr8(ROTATIONS)
    lanes = ptr8(LANES)
    low = uint(s[2])
    high = uint(s[3])
    i = 0
    while i < 24:
        n = uint(rotations[i])
        lane = ptr32(uint(s) + (lanes[i] << 3))
        next_low = uint(lane[0])
        next_high = uint(lane[1])
        if n & uint(32):
            swap = low
            low = high
            high = swap
            n &= uint(31)  # never 0: no rotation of Keccak is 32
        rest = uint(32) - n
        lane[0] = int((low << n) | (high >> rest))
        lane[1] = int((high << n) | (low >> rest))
        low = next_low
        high = next_high
        i += 1


@micropython.viper
def keccak_f(state):
    i = 0  # Assigned first, so that it is kept in a register; see above.
    c = ptr32(_row)
    constants = ptr32(ROUND_CONSTANTS)
    rounds = 24
    while rounds:
        _theta_rho_pi(state)
        s = ptr32(state)
        planes = 5
        while planes:  # chi
            i = 0
            while i < 10:
                c[i] = s[i]
                i += 1
            while i < 14:
                c[i] = s[i - 10]
                i += 1
            i = 0
            while i < 10:
                s[i] = c[i] ^ ((c[i + 2] ^ -1) & c[i + 4])
                i += 1
            s = ptr32(uint(s) + 40)
            planes -= 1
        s = ptr32(state)
        s[0] = s[0] ^ constants[0]  # iota
        s[1] = s[1] ^ constants[1]
        constants = ptr32(uint(constants) + 8)
        rounds -= 1
