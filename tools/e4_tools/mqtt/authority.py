"""The certificate of the authority (CA) that has signed a broker's certificate, and with which that one is checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from e4_tools.errors import ToolError
from e4_tools.printable import printable

_LARGEST_FILE = 64 * 1024  # bytes that are read of a file: a certificate is shorter, and a wrong file may be huge
_LARGEST_ON_BOARD = 4096  # bytes of DER; a board parses the certificate in its memory
_PEM = b"-----BEGIN "
# What the library raises for a damaged certificate, when it is loaded or when one of its parts is asked for. The
# exceptions that are its own have no common class.
_DAMAGE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True)
class Authority:
    """The certificate of an authority, valid today."""

    der: bytes  # the certificate itself, as boards get it
    subject: str  # as RFC 4514 writes it, such as CN=my CA
    expires: datetime  # in UTC


def read_authority(path: Path) -> Authority:
    """Return the CA certificate in a file, which is PEM or DER and holds one certificate.

    Raises ToolError, which says what else the file holds, or why the certificate cannot be used.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ToolError(f"the CA certificate {path} cannot be read: {error.strerror}; nothing was done") from None
    if b"PRIVATE KEY-----" in content:
        raise ToolError(f"{path} holds a private key, which no board may get; give the CA's certificate alone")
    try:
        found = (
            x509.load_pem_x509_certificates(content) if _PEM in content else [x509.load_der_x509_certificate(content)]
        )
    except _DAMAGE:
        raise ToolError(f"{path} is no certificate, PEM or DER; nothing was done") from None
    if len(found) != 1:
        raise ToolError(f"{path} holds {len(found)} certificates; give a file with the CA's alone. Nothing was done")
    try:
        _check(path, found[0])
        der, subject = found[0].public_bytes(Encoding.DER), printable(found[0].subject.rfc4514_string())
    except _DAMAGE:
        # The parts of a certificate are read only when they are asked for, and each of them may be damaged.
        raise ToolError(f"{path} is damaged: a part of it cannot be read; nothing was done") from None
    if len(der) > _LARGEST_ON_BOARD:
        raise ToolError(f"{path} has {len(der)} bytes as DER; boards take up to {_LARGEST_ON_BOARD}. Nothing was done")
    return Authority(der, subject, found[0].not_valid_after_utc)


def _check(path: Path, certificate: x509.Certificate) -> None:
    """Refuse a certificate that cannot vouch for a broker.

    It must belong to an authority (RFC 5280, section 4.2.1.9) that may sign certificates (section 4.2.1.3), have a kind
    of key that boards can check, and be valid now. Raises ToolError.
    """
    try:
        extensions = certificate.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        basic = False
    except _DAMAGE:
        raise ToolError(f"{path} is damaged: its extensions cannot be read; nothing was done") from None
    if not basic:
        raise ToolError(
            f"{path} ({certificate.subject.rfc4514_string()}) is not the certificate of a CA; nothing was done. "
            f"Its issuer is {certificate.issuer.rfc4514_string()}: that one's certificate is needed."
        )
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is not None and not usage.key_cert_sign:
        raise ToolError(f"{path} is of a CA that may not sign certificates; nothing was done")
    if not isinstance(certificate.public_key(), RSAPublicKey | EllipticCurvePublicKey):
        raise ToolError(f"{path} has a key that is neither RSA nor EC: boards cannot check it. Nothing was done")
    now = datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        raise ToolError(f"{path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; nothing was done")
    if now < certificate.not_valid_before_utc:
        raise ToolError(f"{path} is valid from {certificate.not_valid_before_utc:%Y-%m-%d}; nothing was done")
