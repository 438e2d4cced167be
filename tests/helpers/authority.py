"""A certificate authority for tests. It issues good certificates for brokers, and bad ones of each kind."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from e4_tools.mqtt.embedded_broker import HOST

_DAY = timedelta(days=1)


class Authority:
    """An authority that signs certificates for brokers. `certificate`, `der` and `pem` are its own certificate.

    That certificate is valid until `days` days from now; with a negative number it has expired. `ca` says whether it is
    marked as the certificate of an authority, and `signs` whether its key may sign certificates.
    """

    def __init__(self, name: str = "test CA", days: int = 30, ca: bool = True, signs: bool = True) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _common_name(name)
        usage = x509.KeyUsage(True, False, False, False, False, signs, True, False, False)
        self.certificate = self._sign(
            self._key.public_key(), self._name, days, [x509.BasicConstraints(ca, None), usage]
        )
        self.der = self.certificate.public_bytes(Encoding.DER)
        self.pem = self.certificate.public_bytes(Encoding.PEM)

    def _sign(
        self,
        key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
        name: x509.Name,
        days: int,
        extensions: list[x509.ExtensionType],
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self._name, name, key, x509.random_serial_number())
        builder = builder.not_valid_before(now - 100 * _DAY).not_valid_after(now + days * _DAY)
        for extension in extensions:
            builder = builder.add_extension(extension, isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, SHA256())

    def issue(self, folder: Path, host: str = HOST, expired: bool = False) -> tuple[Path, Path]:
        """Write a certificate and its private key for a broker at an IP address or host name; return both files."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host)])
        certificate = self._sign(key.public_key(), _common_name(host), -1 if expired else 30, [names])
        files = folder / "broker.crt", folder / "broker.key"
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].touch(0o600)
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files

    def issue_ca_with_other_key(self) -> bytes:
        """Return a CA certificate (PEM) with an Ed25519 key."""
        key = ed25519.Ed25519PrivateKey.generate().public_key()
        return self._sign(key, _common_name("other"), 30, [x509.BasicConstraints(True, None)]).public_bytes(
            Encoding.PEM
        )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def mosquitto_lines(files: tuple[Path, Path]) -> str:
    """Return the lines of mosquitto's configuration that name a certificate and its private key."""
    certificate, key = files
    return f"certfile {certificate}\nkeyfile {key}"
