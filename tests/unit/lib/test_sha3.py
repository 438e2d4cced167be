"""SHA3-256 against FIPS 202's examples (csrc.nist.gov, "Examples with Intermediate Values")."""

from binascii import hexlify

from e4.sha3 import sha3_256

_EXAMPLES = (
    (b"", "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"),
    (b"abc", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
    (
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "41c0dba2a9d6240849100376a8235e2c82e1b9998a999e21db32dd97496d3376",
    ),
    (
        b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
        "916f6061fe879741ca6469b43971dfdb28b1a32dc36cb3254e812be27aad1d18",
    ),
    (b"\xa3" * 200, "79f38adec5c20307a98ef76e8324afbfd46cfd81b22e3973c65fa1bd9de31787"),
)


def test_fips_202_examples():
    for message, digest in _EXAMPLES:
        assert hexlify(sha3_256(message)).decode() == digest


def test_a_view_hashes_as_its_bytes_do():
    data = bytes(range(256)) * 3
    for start in range(5):
        view = memoryview(data)[start:500]
        assert sha3_256(view) == sha3_256(bytes(view))


def test_every_bit_of_every_length_around_the_rate_counts():
    seen = set()
    for n in (134, 135, 136, 137, 271, 272, 273):
        seen.add(sha3_256(bytes(n)))
        seen.add(sha3_256(bytes(n - 1) + b"\x01"))
        seen.add(sha3_256(b"\x80" + bytes(n - 1)))
    assert len(seen) == 21
