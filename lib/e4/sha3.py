"""SHA3-256 (FIPS 202). E4 hashes topics and names with it, and no MicroPython build has it."""

from e4._const import const
from e4.loops import keccak_f, xor_into

_RATE = const(136)  # bytes absorbed per permutation


def sha3_256(data: bytes) -> bytes:
    """Return the 32-byte SHA3-256 digest of `data` (FIPS 202 section 6.1)."""
    view = memoryview(data)
    size = len(view)
    state = bytearray(200)
    start = 0
    while size - start >= _RATE:
        xor_into(state, view, _RATE, start)
        keccak_f(state)
        start += _RATE
    xor_into(state, view, size - start, start)
    state[size - start] ^= 0x06  # the bits 01 of SHA-3, then pad10*1 (FIPS 202 sections 6.1 and 5.1)
    state[_RATE - 1] ^= 0x80
    keccak_f(state)
    return bytes(memoryview(state)[:32])
