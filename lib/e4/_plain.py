"""The inner loops in ordinary Python, right on any word size. See `blocks` for their contracts."""

import struct

from e4._keccak_tables import LANES, ROTATIONS, ROUND_CONSTANTS

_MASK64 = 0xFFFFFFFFFFFFFFFF


def xor_into(dst, src, n: int) -> None:
    a = int.from_bytes(dst[:n], "big") ^ int.from_bytes(src[:n], "big")
    dst[:n] = a.to_bytes(n, "big")


def copy_block(dst, src, start: int) -> None:
    dst[:16] = src[start : start + 16]


def double(block) -> None:
    value = int.from_bytes(block, "big")
    # The reduction is selected by multiplication, not by a branch on a secret bit.
    value = (value << 1) ^ ((value >> 127) * ((1 << 128) | 0x87))
    block[:] = value.to_bytes(16, "big")


def mask(buffer, n: int, end, pads) -> None:
    size = max((n + 15) & -16, 16)
    if n < size:
        buffer[n:size] = b"\x80" + bytes(size - n - 1)
    k = 32 if n > 16 and n & 15 else 16
    for at, block in ((0, pads[:16]), (max(n - 16, 0), end), (size - 16, pads[k : k + 16])):
        part = bytearray(buffer[at : at + 16])
        xor_into(part, block, 16)
        buffer[at : at + 16] = part


def counter_blocks(dst, tag, n: int) -> None:
    head = bytearray(tag[:12])
    head[8] &= 0x7F
    low = int.from_bytes(tag[12:16], "big") & 0x7FFFFFFF  # without its top bit, so it cannot carry into `head`
    for at in range(0, 16 * n, 16):
        dst[at : at + 12] = head
        dst[at + 12 : at + 16] = low.to_bytes(4, "big")
        low += 1


def same(a, start: int, b, n: int) -> bool:
    different = 0
    for i in range(n):
        different |= a[start + i] ^ b[i]
    return different == 0


def holds(ring, payload, n: int) -> bool:
    entry = bytes(payload[:4]) + bytes(payload[8:16])
    return any(ring[i : i + 12] == entry for i in range(0, 12 * n, 12))


def remember(ring, i: int, payload) -> None:
    ring[12 * i : 12 * i + 12] = bytes(payload[:4]) + bytes(payload[8:16])


def wipe(buffer, n: int) -> None:
    buffer[:n] = bytes(n)


def _theta(s: list) -> None:
    c = [s[x] ^ s[x + 5] ^ s[x + 10] ^ s[x + 15] ^ s[x + 20] for x in range(5)]
    for x in range(5):
        after = c[(x + 1) % 5]
        d = c[x - 1] ^ ((after << 1) & _MASK64) ^ (after >> 63)
        for y in range(x, 25, 5):
            s[y] ^= d


def _rho_pi(s: list) -> None:
    moving = s[1]
    for i in range(24):
        lane = LANES[i]
        n = ROTATIONS[i]
        waiting = s[lane]
        s[lane] = ((moving << n) & _MASK64) | (moving >> (64 - n))
        moving = waiting


def _chi(s: list) -> None:
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
