"""The inner loops of AES-SIV and SHA-3, from the fastest source that this interpreter has.

`BACKEND` names the choice: "viper" (machine code) or "plain" (ordinary Python: CPython, and MicroPython
builds with no emitter). Both compute the same; the tests hold one against the other.

Each source provides

    xor_into(dst, src, n, start)           dst[:n] ^= src[start:start + n]
    copy_block(dst, src, at, start)        dst[at:at + 16] = src[start:start + 16]
    double(block)                          doubling in GF(2**128), in place (RFC 5297 section 2.3)
    stamped_block(dst, src, pad, start)    dst[:16] = src[start:start + 8], padded (RFC 4493 section 2.4), ^ pad[:16]
    mask(buffer, pads, n, end)             what S2V and CMAC add before CBC to n bytes in whole blocks; see below
    counter_blocks(dst, src, n, start)     the n counter blocks of the tag src[start:start + 16] (RFC 5297 section 2.5)
    same(a, b, i, j)                       a[i:i + 16] == b[j:j + 16] in a time that does not depend on the contents
    wipe(buffer, n)                        n zero bytes at its start
    known(ring, payload)                   what a ring of `copies.Copies` tells of a payload: 0, or one of its constants
    remember(ring, payload, size)          put a payload into a ring with room for `size`
    keccak_f(state)                        Keccak-f[1600] on 200 bytes, in place (FIPS 202 section 3.3)

`mask` is for one block at least. It pads with 80 00 ..., and xors pads[:16] into the first block, end[:16] into the
last 16 of the n bytes (xorend; into the whole block if n < 16), and into the last block pads[16:32] (K1) if n < 16 or
n is a multiple of 16, else pads[32:48] (K2): for n < 16 it is K1 because S2V then hands CMAC a whole block. Called a
second time, it leaves the n bytes as they were.
"""

try:
    from e4 import _viper as _loops

    BACKEND = "viper"
except (ImportError, SyntaxError, ValueError):  # no `micropython`, no emitter, or an .mpy for another CPU
    from e4 import _plain as _loops

    BACKEND = "plain"

xor_into = _loops.xor_into
copy_block = _loops.copy_block
double = _loops.double
mask = _loops.mask
stamped_block = _loops.stamped_block
counter_blocks = _loops.counter_blocks
same = _loops.same
known = _loops.known
remember = _loops.remember
wipe = _loops.wipe
keccak_f = _loops.keccak_f
