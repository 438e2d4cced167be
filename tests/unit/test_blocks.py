"""The inner loops in use against the plain ones, on random input; they are the same only on CPython."""

from support import Dice

from e4 import _plain, blocks


def test_xor_into_at_every_alignment():
    dice = Dice(2)
    for n in list(range(36)) + [255, 256, 257]:
        for start in range(4):
            source = dice.bytes(n + start)
            ours, plain = bytearray(dice.bytes(n + 8)), None
            plain = bytearray(ours)
            blocks.xor_into(memoryview(ours)[start:], memoryview(source)[start:], n)
            view = memoryview(plain)[start:]
            _plain.xor_into(view, memoryview(source)[start:], n)
            assert ours == plain


def test_double():
    dice = Dice(3)
    for first in (0, 0x7F, 0x80, 0xFF):
        for _ in range(20):
            ours = bytearray(bytes((first,)) + dice.bytes(15))
            plain = bytearray(ours)
            blocks.double(ours)
            _plain.double(plain)
            assert ours == plain


def test_copy_block_from_every_place():
    source = bytes(range(40))
    for start in range(25):
        ours = bytearray(20)
        blocks.copy_block(ours, source, start)
        assert ours == source[start : start + 16] + bytes(4)


def test_mask_and_mask_again():
    dice = Dice(5)
    for n in list(range(50)) + [255, 256, 257]:
        size = max((n + 15) & -16, 16)
        end, pads, before = dice.bytes(16), dice.bytes(48), dice.bytes(size)
        ours, plain = bytearray(before), bytearray(before)
        blocks.mask(ours, n, end, pads)
        _plain.mask(plain, n, end, pads)
        assert (ours == plain and ours[:n] != before[:n]) or n == 0
        blocks.mask(ours, n, end, pads)
        assert ours[:n] == before[:n]


def test_counter_blocks_carry():
    for low in (0, 0xFE, 0xFF, 0xFFFE, 0xFFFFFE, 0x7FFFFFFE, 0x7FFFFFFF, 0x3FFFFFFF, 0xFFFFFFFF):
        tag = bytes(range(0xF4, 0x100)) + low.to_bytes(4, "big")
        for n in (1, 4, 300):
            ours, plain = bytearray(16 * n), bytearray(16 * n)
            blocks.counter_blocks(ours, tag, n)
            _plain.counter_blocks(plain, tag, n)
            assert ours == plain
        # RFC 5297 section 2.5: bits 63 and 31 of the tag are cleared.
        assert ours[:16] == tag[:8] + b"\x7c" + tag[9:12] + (low & 0x7FFFFFFF).to_bytes(4, "big")


def test_same():
    a = bytes(range(16))
    for start in (0, 1, 5):
        assert blocks.same(bytes(start) + a, start, bytearray(a), 16) is True
        for i in range(16):
            b = bytearray(a)
            b[i] ^= 0x80
            assert blocks.same(bytes(start) + a, start, b, 16) is False
            assert blocks.same(bytes(start) + a, start, b, i) is True


def test_wipe_as_much_as_asked():
    for n in range(20):
        buffer = bytearray(b"s" * 24)
        blocks.wipe(buffer, n)
        assert buffer == bytes(n) + b"s" * (24 - n)


def test_keccak_f():
    dice = Dice(4)
    for fill in (0, 0xFF, None):
        ours = bytearray([fill] * 200) if fill is not None else bytearray(dice.bytes(200))
        for _ in range(8):
            plain = bytearray(ours)
            blocks.keccak_f(ours)
            _plain.keccak_f(plain)
            assert ours == plain


def test_remember_and_holds():
    dice = Dice(9)
    payloads = [dice.bytes(40) for _ in range(40)]
    ours, plain = bytearray(480), bytearray(480)
    for i in range(40):
        blocks.remember(ours, i, payloads[i])
        _plain.remember(plain, i, payloads[i])
        assert ours == plain and ours[12 * i : 12 * i + 12] == payloads[i][:4] + payloads[i][8:16]
    for used in (0, 1, 39, 40):
        for i in range(40):
            payload = memoryview(payloads[i])
            assert blocks.holds(ours, payload, used) is _plain.holds(ours, payload, used) is (used > i)
    for i in (0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15):  # every byte of an entry counts
        altered = bytearray(payloads[7])
        altered[i] ^= 0x80
        assert blocks.holds(ours, altered, 40) is False
