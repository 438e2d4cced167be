"""The inner loops of AES-SIV, SHA-3 and the memory of messages, from the fastest module that this interpreter can load.

`BACKEND` is "viper" for `_loops_viper` (machine code), or "plain" for `_loops_plain` (ordinary Python, for CPython and
for MicroPython builds without an emitter of machine code). Both compute the same; the tests compare them.

Each of these modules has the functions

    xor_into(dst, src, n, start)           dst[:n] ^= src[start:start + n]
    copy_block(dst, src, at, start)        dst[at:at + 16] = src[start:start + 16]
    double(block)                          doubling in GF(2**128), in place (RFC 5297 section 2.3)
    stamped_block(dst, src, pad, start)    dst[:16] = src[start:start + 8], padded (RFC 4493 section 2.4), ^ pad[:16]
    pad_and_mask(buffer, pads, n, end)     add to n bytes what S2V and CMAC add before CBC; see below
    counter_blocks(dst, src, n, start)     dst = n counter blocks of the tag src[start:start + 16] (RFC 5297, 2.5)
    equal_blocks(a, b, i, j)               return a[i:i + 16] == b[j:j + 16] in a time independent of the contents
    wipe(buffer, n)                        write n zero bytes at the start of the buffer
    find_in_ring(ring, payload, d, age)    return what a ring says of a payload; see below
    add_to_ring(ring, payload, d)          add a payload to a ring, and forget the earliest entry
    keccak_f(state)                        Keccak-f[1600] on 200 bytes, in place (FIPS 202 section 3.3)

`pad_and_mask` needs a buffer of one block at least. It pads with 80 00 ..., and xors pads[:16] into the first block,
end[:16] into the last 16 of the n bytes (which RFC 5297 calls xorend; into the whole block if n < 16), and into the
last block pads[16:32] (K1) if n < 16 or n is a multiple of 16, else pads[32:48] (K2). For n < 16 it is K1, because S2V
then gives CMAC a whole block. Called a second time, it leaves the n bytes as they were.

A ring is the memory of `recent_messages`: a buffer of five words of 32 bits, then entries of three words each in the
order of their timestamps. The first five words are: the size of the buffer in bytes; the offset of the earliest entry,
which the others follow, round the end of the buffer, and which the next one replaces; the latest timestamp that was
forgotten; one that the functions use; the size in bytes of half the entries, rounded up. An entry is a timestamp and
d[8:16], which stands for the payload. An entry of zeros is free. Timestamps in a ring are counted from 0x3C3C3C3C, a
second of the year 2002, and have 32 bits. So they are in order until 2138, and only in that second nothing is accepted.

`age` is that of the payload in seconds, negative if it is ahead of the clock. What `find_in_ring` returns is explained
in `recent_messages`. `add_to_ring` is not called for a payload whose timestamp is that of a forgotten one or earlier,
except in the second of a burst.
"""

# These are star imports, because a list of the names would stand twice in the file that a board loads.
try:
    from e4._loops_viper import *  # noqa: F403

    BACKEND = "viper"
except (ImportError, SyntaxError, ValueError):  # there is no `micropython`, no emitter, or the .mpy is for another CPU
    from e4._loops_plain import *  # noqa: F403

    BACKEND = "plain"
