"""Compares the inner loops in use with the plain ones on random input. On CPython they are the same code."""

import struct

from e4 import _loops_plain, loops
from helpers.portable.support import Dice


def test_xor_into_at_every_alignment():
    dice = Dice(2)
    for n in list(range(36)) + [255, 256, 257]:
        for start in range(4):
            source = dice.bytes(n + start)
            ours, plain = bytearray(dice.bytes(n + 8)), None
            plain = bytearray(ours)
            loops.xor_into(memoryview(ours)[start:], source, n, start)
            view = memoryview(plain)[start:]
            _loops_plain.xor_into(view, source, n, start)
            assert ours == plain


def test_double():
    dice = Dice(3)
    for first in (0, 0x7F, 0x80, 0xFF):
        for _ in range(20):
            ours = bytearray(bytes((first,)) + dice.bytes(15))
            plain = bytearray(ours)
            loops.double(ours)
            _loops_plain.double(plain)
            assert ours == plain


def test_copy_block_from_every_place():
    source = bytes(range(40))
    for start in range(25):
        for at in range(5):
            ours, plain = bytearray(20), bytearray(20)
            loops.copy_block(ours, source, at, start)
            _loops_plain.copy_block(plain, source, at, start)
            assert ours == plain == bytes(at) + source[start : start + 16] + bytes(4 - at)


def test_stamped_block_from_every_place():
    dice = Dice(6)
    for start in range(9):
        source, pad = dice.bytes(20), dice.bytes(16)
        ours, plain = bytearray(16), bytearray(16)
        loops.stamped_block(ours, source, pad, start)
        _loops_plain.stamped_block(plain, source, pad, start)
        assert ours == plain
        loops.xor_into(ours, pad, 16, 0)
        assert ours == source[start : start + 8] + b"\x80" + bytes(7)


def test_pad_and_mask_twice():
    dice = Dice(5)
    for n in list(range(50)) + [255, 256, 257]:
        size = max((n + 15) & -16, 16)
        end, pads, before = dice.bytes(16), dice.bytes(48), dice.bytes(size)
        ours, plain = bytearray(before), bytearray(before)
        loops.pad_and_mask(ours, pads, n, end)
        _loops_plain.pad_and_mask(plain, pads, n, end)
        assert ours == plain
        assert ours[:n] != before[:n] or n == 0
        loops.pad_and_mask(ours, pads, n, end)
        assert ours[:n] == before[:n]


def test_counter_blocks_carry():
    for low in (0, 0xFE, 0xFF, 0xFFFE, 0xFFFFFE, 0x7FFFFFFE, 0x7FFFFFFF, 0x3FFFFFFF, 0xFFFFFFFF):
        tag = bytes(range(0xF4, 0x100)) + low.to_bytes(4, "big")
        for n in (1, 4, 300):
            for start in (0, 3, 8):
                ours, plain = bytearray(16 * n), bytearray(16 * n)
                loops.counter_blocks(ours, bytes(start) + tag, n, start)
                _loops_plain.counter_blocks(plain, bytes(start) + tag, n, start)
                assert ours == plain
        # RFC 5297 section 2.5: bits 63 and 31 of the tag are cleared.
        assert ours[:16] == tag[:8] + b"\x7c" + tag[9:12] + (low & 0x7FFFFFFF).to_bytes(4, "big")


def test_equal_blocks():
    a = bytes(range(16))
    for i, j in ((0, 0), (1, 8), (5, 3)):
        for source in (loops, _loops_plain):
            assert source.equal_blocks(bytes(i) + a + b"x", bytearray(bytes(j) + a + b"y"), i, j) is True
            for at in range(16):
                b = bytearray(bytes(j) + a)
                b[j + at] ^= 0x80
                assert source.equal_blocks(bytes(i) + a, b, i, j) is False


def test_wipe_as_much_as_asked():
    for n in range(20):
        buffer = bytearray(b"s" * 24)
        loops.wipe(buffer, n)
        assert buffer == bytes(n) + b"s" * (24 - n)


def test_keccak_f():
    dice = Dice(4)
    for fill in (0, 0xFF, None):
        ours = bytearray([fill] * 200) if fill is not None else bytearray(dice.bytes(200))
        for _ in range(8):
            plain = bytearray(ours)
            loops.keccak_f(ours)
            _loops_plain.keccak_f(plain)
            assert ours == plain


def _ring(size):
    ring = bytearray(20 + 12 * size)
    struct.pack_into("<5I", ring, 0, len(ring), 20, 0, 0, (size + 1) // 2 * 12)
    return ring


def test_add_and_find_in_ring():
    dice = Dice(9)
    # Stamps above the third base pass the sign bit of 32 bits, and those above the fourth one pass their end.
    for base in (0, 0x12345678, 0x7FFFFFE0, 0xFFFFFFE0, 0x5FFFFFFE0):
        for size in (1, 2, 3, 8):
            ours, plain = _ring(size), _ring(size)
            payloads = []
            for _ in range(40):
                stamp = base + dice.bytes(1)[0] % 64
                payloads.append(stamp.to_bytes(8, "little") + dice.bytes(24))
                digest = memoryview(payloads[-1])[8:]
                loops.add_to_ring(ours, payloads[-1], digest)
                _loops_plain.add_to_ring(plain, payloads[-1], digest)
                assert ours[:12] == plain[:12] and ours[16:] == plain[16:]  # the word between is for the functions
                for payload in payloads:
                    for age in (0, 1, 2, -1, -40, 700):
                        told = loops.find_in_ring(ours, memoryview(payload), payload[8:], age)
                        assert told == _loops_plain.find_in_ring(plain, payload, payload[8:], age)
            stamps = [int.from_bytes(payload[:8], "little") for payload in payloads]
            kept = [stamps[i] for i in range(40) if loops.find_in_ring(ours, payloads[i], payloads[i][8:], 0) == 1]
            assert sorted(kept) == sorted(stamps)[-size:]


def test_every_byte_of_a_remembered_payload_counts():
    payload = bytes(range(100, 132))
    for source in (loops, _loops_plain):
        ring = _ring(3)
        for other in (bytes(32), payload):
            source.add_to_ring(ring, other, memoryview(other)[8:])
        assert source.find_in_ring(ring, payload, payload[8:], 0) == 1
        for i in (0, 1, 2, 3, 16, 17, 18, 19, 20, 21, 22, 23):
            altered = bytearray(payload)
            altered[i] ^= 0x80
            assert source.find_in_ring(ring, altered, altered[8:], 0) != 1
