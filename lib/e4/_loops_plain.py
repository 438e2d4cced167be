"""The inner loops in ordinary Python, for any size of words. `loops` says what each function does."""

import struct

from e4._keccak_tables import LANES, ROTATIONS, ROUND_CONSTANTS

_MASK64 = 0xFFFFFFFFFFFFFFFF


def xor_into(dst, src, n: int, start: int) -> None:
    a = int.from_bytes(dst[:n], "big") ^ int.from_bytes(src[start : start + n], "big")
    dst[:n] = a.to_bytes(n, "big")


def copy_block(dst, src, at: int, start: int) -> None:
    dst[at : at + 16] = src[start : start + 16]


def double(block) -> None:
    value = int.from_bytes(block, "big")
    # The reduction is selected by a multiplication, because a branch on this secret bit would show in the time.
    value = (value << 1) ^ ((value >> 127) * ((1 << 128) | 0x87))
    block[:] = value.to_bytes(16, "big")


def pad_and_mask(buffer, pads, n: int, end) -> None:
    size = max((n + 15) & -16, 16)
    if n < size:
        buffer[n:size] = b"\x80" + bytes(size - n - 1)
    k = 32 if n > 16 and n & 15 else 16
    for at, block in ((0, pads[:16]), (max(n - 16, 0), end), (size - 16, pads[k : k + 16])):
        part = bytearray(buffer[at : at + 16])
        xor_into(part, block, 16, 0)
        buffer[at : at + 16] = part


def stamped_block(dst, payload, pad, start: int) -> None:
    dst[:] = bytes(payload[start : start + 8]) + b"\x80" + bytes(7)
    xor_into(dst, pad, 16, 0)


def counter_blocks(dst, src, n: int, start: int) -> None:
    head = bytearray(src[start : start + 12])
    head[8] &= 0x7F
    low = int.from_bytes(src[start + 12 : start + 16], "big") & 0x7FFFFFFF  # so the sum does not carry into `head`
    for at in range(0, 16 * n, 16):
        dst[at : at + 12] = head
        dst[at + 12 : at + 16] = low.to_bytes(4, "big")
        low += 1


def equal_blocks(a, b, i: int, j: int) -> bool:
    different = 0
    for at in range(16):
        different |= a[i + at] ^ b[j + at]
    return different == 0


def find_in_ring(ring, payload, digest, age: int) -> int:
    end, first, forgotten, _, half = struct.unpack_from("<5I", ring)
    stamp = _relative_stamp(payload)
    entry = struct.pack("<I", stamp) + bytes(digest[8:16])
    at = first
    new = -1
    while True:
        at = (at if at != 20 else end) - 12
        if _stamp_at(ring, at) < stamp:
            new = at + 12 - first
            break
        if ring[at : at + 12] == entry:
            return 1
        if at == first:
            break
    at = first - half
    if at < 20:
        at += end - 20
    if age < 0 and _stamp_at(ring, at) > stamp + age:  # the first entry of the later half
        return 4
    if stamp > forgotten:
        return new
    return 3 if _stamp_at(ring, (at if at != 20 else end) - 12) == stamp else 2  # the last one of the earlier half


def add_to_ring(ring, payload, digest) -> None:
    end, first = struct.unpack_from("<2I", ring)
    stamp = _relative_stamp(payload)
    free = at = first
    struct.pack_into("<I", ring, 8, min(stamp, _stamp_at(ring, at)))
    if stamp < _stamp_at(ring, at):
        return
    first = first + 12 if first + 12 != end else 20
    struct.pack_into("<I", ring, 4, first)
    while at != first:
        at = (at if at != 20 else end) - 12
        if _stamp_at(ring, at) <= stamp:
            break
        ring[free : free + 12] = ring[at : at + 12]
        free = at
    ring[free : free + 12] = struct.pack("<I", stamp) + bytes(digest[8:16])


def _relative_stamp(payload) -> int:
    return (struct.unpack_from("<I", payload)[0] - 0x3C3C3C3C) & 0xFFFFFFFF


def _stamp_at(ring, at: int) -> int:
    return struct.unpack_from("<I", ring, at)[0]


def wipe(buffer, n: int) -> None:
    buffer[:n] = bytes(n)


def _theta(s: list[int]) -> None:
    c = [s[x] ^ s[x + 5] ^ s[x + 10] ^ s[x + 15] ^ s[x + 20] for x in range(5)]
    for x in range(5):
        after = c[(x + 1) % 5]
        d = c[x - 1] ^ ((after << 1) & _MASK64) ^ (after >> 63)
        for y in range(x, 25, 5):
            s[y] ^= d


def _rho_pi(s: list[int]) -> None:
    moving = s[1]
    for i in range(24):
        lane = LANES[i]
        n = ROTATIONS[i]
        waiting = s[lane]
        s[lane] = ((moving << n) & _MASK64) | (moving >> (64 - n))
        moving = waiting


def _chi(s: list[int]) -> None:
    for y in range(0, 25, 5):
        row = s[y : y + 5]
        for x in range(5):
            s[y + x] = row[x] ^ ((row[(x + 1) % 5] ^ _MASK64) & row[(x + 2) % 5])


def keccak_f(state) -> None:
    s = list(struct.unpack("<25Q", state))
    for constant in struct.unpack("<24Q", ROUND_CONSTANTS):
        _theta(s)
        _rho_pi(s)
        _chi(s)
        s[0] ^= constant
    state[:] = struct.pack("<25Q", *s)
