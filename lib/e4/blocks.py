"""The inner loops of AES-SIV and SHA-3, from the fastest source that this interpreter has.

`BACKEND` names the choice: "viper" (machine code) or "plain" (ordinary Python: CPython, and MicroPython
builds with no emitter). Both compute the same; the tests hold one against the other.

Each source provides

    xor_into(dst, src, n)             dst[:n] ^= src[:n]
    copy_block(dst, src, start)       dst[:16] = src[start:start + 16]
    double(block)                     doubling in GF(2**128), in place (RFC 5297 section 2.3)
    holds(ring, payload, n)           whether a payload is among the first n entries (12 bytes each) of `copies.Copies`
    remember(ring, i, payload)        make it the entry i: the lower half of its timestamp, the first half of its tag
    mask(buffer, n, end, pads)        what S2V and CMAC add to a message of n bytes before CBC; see `siv.CMAC`
    counter_blocks(dst, tag, n)       the n counter blocks of a tag (RFC 5297 section 2.5)
    same(a, start, b, n)              a[start:start + n] == b[:n] in a time that does not depend on the contents
    wipe(buffer, n)                   n zero bytes at its start
    keccak_f(state)                   Keccak-f[1600] on 200 bytes, in place (FIPS 202 section 3.3)
"""

try:
    from e4 import _viper as _loops

    BACKEND = "viper"
except (ImportError, SyntaxError, ValueError):  # no `micropython`, no emitter, or an .mpy for another CPU
    from e4 import _plain as _loops  # type: ignore[no-redef]

    BACKEND = "plain"

xor_into = _loops.xor_into
copy_block = _loops.copy_block
double = _loops.double
mask = _loops.mask
counter_blocks = _loops.counter_blocks
same = _loops.same
holds = _loops.holds
remember = _loops.remember
wipe = _loops.wipe
keccak_f = _loops.keccak_f
