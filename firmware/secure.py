"""TLS to the broker. Its certificate must be signed by the given CA, be for the configured host, and be valid now."""

import binascii

import tls

from e4._const import const

from .errors import LinkDown

_BEGIN = const(b"-----BEGIN CERTIFICATE-----")
_END = const(b"-----END CERTIFICATE-----")


def wrap(stream, host: str, ca: str):
    """Return a TLS stream over a connected stream. `ca` is the path of the certificate of the CA, DER or PEM.

    Raises LinkDown if that file cannot be read or is no certificate. A connection without the check is never made.
    """
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]
    try:
        with open(ca, "rb") as file:
            context.load_verify_locations(to_der(file.read()))
    except OSError as error:
        raise LinkDown("cannot read the CA certificate {} ({})".format(ca, error)) from None
    except ValueError:
        raise LinkDown("{} holds no CA certificate".format(ca)) from None
    return context.wrap_socket(stream, server_hostname=host, do_handshake_on_connect=False)


def refusal(error: Exception) -> str | None:
    """Return why the certificate was refused, or None if an exception of a TLS stream means something else."""
    if isinstance(error, ValueError) or "X509" in str(error):
        return "the broker's certificate is refused: {}".format(str(error).strip())
    return None


def to_der(certificate: bytes) -> bytes:
    """Return the DER form of a certificate, DER or PEM. Raises ValueError unless it is exactly one."""
    start = certificate.find(_BEGIN)
    if start < 0:
        return certificate
    start += len(_BEGIN)
    end = certificate.find(_END, start)
    if end < 0 or certificate.find(_BEGIN, end) >= 0:
        raise ValueError("not exactly one certificate")
    return binascii.a2b_base64(certificate[start:end])
