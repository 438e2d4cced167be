"""The inner loops of AES-SIV and SHA-3, from the fastest source that this interpreter has.

`BACKEND` names the choice: "viper" (machine code) or "plain" (ordinary Python: CPython, and MicroPython
builds with no emitter). Both compute the same; the tests hold one against the other.

Each source provides

    xor_into(dst, src, n)             dst[:n] ^= src[:n]
    double(block)                     doubling in GF(2**128), in place (RFC 5297 section 2.3)
    counter_blocks(dst, first, n)     n successive counter blocks from `first` (RFC 5297 section 2.5)
    same(a, b, n)                     a[:n] == b[:n] in a time that does not depend on the contents
    holds(ring, entry, n)             whether `entry` (12 bytes) is among the first n entries of `ring`
    keccak_f(state)                   Keccak-f[1600] on 200 bytes, in place (FIPS 202 section 3.3)
"""

try:
    from e4 import _viper as _loops

    BACKEND = "viper"
except (ImportError, SyntaxError, ValueError):  # no `micropython`, no emitter, or an .mpy for another CPU
    from e4 import _plain as _loops  # type: ignore[no-redef]

    BACKEND = "plain"

xor_into = _loops.xor_into
double = _loops.double
counter_blocks = _loops.counter_blocks
same = _loops.same
holds = _loops.holds
keccak_f = _loops.keccak_f
