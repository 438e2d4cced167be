"""AES-CMAC and AES-SIV against the vectors of RFC 4493 section 4 and RFC 5297 appendix A."""

import sys
from binascii import unhexlify

import e4
from e4 import siv
from helpers.portable.siv_reference import Reference
from helpers.portable.support import Dice, raises

# MicroPython for WebAssembly has no AES. The tests bring their own in ordinary Python, which is slow.
_SLOW = sys.platform == "webassembly"
_RFC4493_KEY = unhexlify("2b7e151628aed2a6abf7158809cf4f3c")
_RFC4493_MESSAGE = unhexlify(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
_RFC4493_TAGS = (
    (0, "bb1d6929e95937287fa37d129b756746"),
    (16, "070a16b46b4d4144f79bdd9dd04a287c"),
    (40, "dfa66747de9ae63030ca32611497c827"),
    (64, "51f0bebf7e3b9d92fc49741779363cfe"),
)


def _hex(*groups):
    return unhexlify("".join(groups).replace(" ", ""))


def test_rfc_4493_examples():
    for n, tag in _RFC4493_TAGS:
        assert siv.CMAC(_RFC4493_KEY).tag(_RFC4493_MESSAGE[:n]) == unhexlify(tag)


def test_rfc_5297_a1_deterministic():
    cipher = siv.SIV(_hex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0"), _hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"))
    ad = _hex("10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627")
    plaintext = _hex("11223344 55667788 99aabbcc ddee")
    expected = _hex("85632d07 c6e8f37f 950acd32 0a2ecc93", "40c02b96 90c4dc04 daef7f6a fe5c")
    assert cipher.seal(plaintext, ad) == expected
    assert cipher.open(expected, ad) == plaintext


def test_rfc_5297_a2_nonce_and_several_strings():
    cipher = siv.SIV(_hex("7f7e7d7c7b7a79787776757473727170"), _hex("404142434445464748494a4b4c4d4e4f"))
    ads = (
        _hex("00112233 44556677 8899aabb ccddeeff deaddada deaddada ffeeddcc bbaa9988 77665544 33221100"),
        _hex("10203040 50607080 90a0"),
        _hex("09f91102 9d74e35b d84156c5 635688c0"),
    )
    plaintext = b"this is some plaintext to encrypt using SIV-AES"
    expected = _hex(
        "7bdb6e3b 432667eb 06f4d14b ff2fbd0f cb900f2f ddbe4043 26601965 c889bf17",
        "dba77ceb 094fa663 b7a3f748 ba8af829 ea64ad54 4a272e9c 485b62a3 fd5c0d",
    )
    assert cipher.seal(plaintext, *ads) == expected
    assert cipher.open(expected, *ads) == plaintext


def _lengths(dice, count):
    """Yield lengths of messages: all of up to three blocks, some around limits, and random ones.

    The library computes tags in pieces, and the limits are the sizes of those pieces.
    """
    yield from range(50)
    yield from (1023, 1024, 1025)
    if not _SLOW:
        yield from (1007, 1008, 1009, 1039, 1040, 1041, 1056, 1057, 2047, 2048, 2049)
    for _ in range(count):
        yield dice.below(300)


def test_thousands_of_random_messages_against_the_reference():
    dice = Dice(6)
    for n in _lengths(dice, 40 if _SLOW else 2000):
        if n % 7 == 0:
            key = dice.bytes(32)
            cipher, reference = siv.SIV(key), Reference(key)
        ads = [dice.bytes(dice.below(40) if dice.below(4) == 0 else 8) for _ in range(dice.below(3))]
        message = dice.bytes(n)
        sealed = cipher.seal(message, *ads)
        assert sealed == reference.seal(message, *ads)
        assert cipher.open(sealed, *ads) == message


def test_tags_against_the_reference():
    dice = Dice(7)
    key = dice.bytes(32)
    cmac, reference = siv.CMAC(key), Reference(key)
    for n in _lengths(dice, 10 if _SLOW else 200):
        data = dice.bytes(n)
        assert cmac.tag(data) == reference.cmac(data)


def test_views_at_every_alignment():
    dice = Dice(8)
    cipher = siv.SIV(dice.bytes(32))
    data = dice.bytes(400)
    for start in range(5 if _SLOW else 17):
        for n in (1, 15, 16, 33, 256):
            message = data[start : start + n]
            sealed = cipher.seal(memoryview(data)[start : start + n], b"12345678")
            assert sealed == cipher.seal(message, b"12345678")
            held = memoryview(bytes(start) + sealed)[start:]
            assert cipher.open(held, b"12345678") == message


def test_a_call_in_the_middle_of_another_disturbs_neither():
    cipher = siv.SIV(bytes(range(32)))
    message, other = b"m" * 600, b"o" * 700
    sealed, sealed_other = cipher.seal(message, b"12345678"), cipher.seal(other, b"87654321")
    assert cipher.open(sealed, b"12345678") == message
    # While one call is interrupted, its buffers are not in the pool. Other calls must not change them.
    for _ in range(2):
        interrupted, siv._pool[:] = siv._pool[:], []
        chains, cipher._cmac.idle[:] = cipher._cmac.idle[:], []
        before = [bytes(work[0]) for work in interrupted], [bytes(pads) for _, pads in chains]
        assert cipher.seal(other, b"87654321") == sealed_other
        assert cipher.open(sealed_other, b"87654321") == other
        assert before == ([bytes(work[0]) for work in interrupted], [bytes(pads) for _, pads in chains])
        siv._pool[:], cipher._cmac.idle[:] = interrupted, chains
        assert cipher.seal(message, b"12345678") == sealed
        assert cipher.open(sealed, b"12345678") == message


def test_stamped_is_the_same_as_with_the_timestamp_as_a_string():
    cipher = siv.SIV(bytes(range(32)))
    for timestamp in (0, 1774894944, 0xFFFFFFFF, 1 << 63):
        stamp = timestamp.to_bytes(8, "little")
        for n in (0, 1, 15, 16, 17, 100, 1100):
            message = bytes(range(256)) * 5
            payload = cipher.seal_stamped(message[:n], timestamp)
            assert payload == stamp + cipher.seal(message[:n], stamp)
            assert cipher.open_stamped(payload) == message[:n]


def test_nothing_of_a_message_stays_in_the_buffers():
    cipher = siv.SIV(bytes(range(32)))
    message = b"sixteen secrets!" * 64
    sealed = cipher.seal(message, b"12345678")
    altered = bytearray(sealed)
    # All bytes before the last one still decrypt to the message.
    altered[-1] ^= 1
    for action in (
        lambda: cipher.seal(message, b"12345678"),
        lambda: cipher.open(sealed, b"12345678"),
        lambda: raises(e4.NotAuthentic, cipher.open, bytes(altered), b"12345678"),
    ):
        action()
        assert siv._pool
        for work in siv._pool:
            assert b"secret" not in bytes(work[0])


def test_what_is_kept_between_calls_is_bounded():
    dice = Dice(9)
    for n in (1, 100, 1024) if _SLOW else (1, 100, 1024, 1040, 5000):
        for _ in range(6):
            key = dice.bytes(32)
            assert e4.siv.decrypt(key, b"12345678", e4.siv.encrypt(key, b"12345678", bytes(n))) == bytes(n)
            assert len(siv._ciphers) <= 4
    assert sum(len(work[0]) for work in siv._pool) < 4096


def test_any_flipped_bit_is_refused():
    key = bytes(range(32))
    sealed = e4.siv.encrypt(key, b"12345678", b"a message of 25 bytes....")
    for i in range(len(sealed)):
        altered = bytearray(sealed)
        altered[i] ^= 1 << (i % 8)
        raises(e4.NotAuthentic, e4.siv.decrypt, key, b"12345678", bytes(altered))
    raises(e4.NotAuthentic, e4.siv.decrypt, key, b"12345679", sealed)
    raises(e4.NotAuthentic, e4.siv.decrypt, bytes(range(1, 33)), b"12345678", sealed)


def test_input_is_left_as_it_was():
    key, ad, plaintext = bytearray(range(1, 33)), bytearray(b"12345678"), bytearray(b"p" * 40)
    sealed = bytearray(e4.siv.encrypt(key, ad, plaintext))
    before = bytes(sealed)
    assert e4.siv.decrypt(key, ad, sealed) == b"p" * 40
    assert (sealed, key, ad, plaintext) == (before, bytes(range(1, 33)), b"12345678", b"p" * 40)


def test_bad_keys_and_short_input():
    for key in (b"", b"k" * 16, b"k" * 31, b"k" * 33, b"k" * 64, bytes(32), "k" * 32):
        raises(e4.InvalidKey, e4.siv.encrypt, key, b"12345678", b"message")
        raises(e4.InvalidKey, e4.siv.decrypt, key, b"12345678", b"0123456789abcdef")
    raises(e4.TooShort, e4.siv.decrypt, b"k" * 32, b"12345678", b"0123456789abcde")
