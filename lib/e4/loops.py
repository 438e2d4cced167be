"""The inner loops of AES-SIV and SHA-3, from the fastest source that this interpreter has.

`BACKEND` names the choice: "viper" (machine code) or "plain" (ordinary Python: CPython, and MicroPython
builds with no emitter). Both compute the same; the tests hold one against the other.

Each source provides

    xor_into(dst, src, n, start)           dst[:n] ^= src[start:start + n]
    copy_block(dst, src, at, start)        dst[at:at + 16] = src[start:start + 16]
    double(block)                          doubling in GF(2**128), in place (RFC 5297 section 2.3)
    stamped_block(dst, src, pad, start)    dst[:16] = src[start:start + 8], padded (RFC 4493 section 2.4), ^ pad[:16]
    pad_and_mask(buffer, pads, n, end)     what S2V and CMAC add before CBC to n bytes in whole blocks; see below
    counter_blocks(dst, src, n, start)     the n counter blocks of the tag src[start:start + 16] (RFC 5297 section 2.5)
    equal_blocks(a, b, i, j)               a[i:i + 16] == b[j:j + 16] in a time that does not depend on the contents
    wipe(buffer, n)                        n zero bytes at its start
    find_in_ring(ring, payload)            what a ring of `recent_messages` says of a payload: 0 or one of its constants
    add_to_ring(ring, payload, size)       put a payload into a ring with room for `size`
    keccak_f(state)                        Keccak-f[1600] on 200 bytes, in place (FIPS 202 section 3.3)

`pad_and_mask` is for one block at least. It pads with 80 00 ..., and xors pads[:16] into the first block, end[:16] into
the last 16 of the n bytes (xorend; into the whole block if n < 16), and into the last block pads[16:32] (K1) if n < 16
or n is a multiple of 16, else pads[32:48] (K2): for n < 16 it is K1 because S2V then hands CMAC a whole block. Called a
second time, it leaves the n bytes as they were.
"""

# A star import, because each name would otherwise be stored twice in the file that a board loads.
try:
    from e4._loops_viper import *  # noqa: F403

    BACKEND = "viper"
except (ImportError, SyntaxError, ValueError):  # no `micropython`, no emitter, or an .mpy for another CPU
    from e4._loops_plain import *  # noqa: F403

    BACKEND = "plain"
