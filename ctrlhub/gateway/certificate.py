"""The gateway's TLS: a certificate that is given, or one that it makes itself."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ctrlhub.controller.advertising import WILDCARDS, own_names
from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import read_private, write_private

DAYS = 397
"""So long a certificate of ours is good: browsers take none that is good for longer."""

RENEW = 30 * 86400.0
"""One that has less left (seconds) is made anew at the gateway's start."""

MOST_BYTES = 256 * 1024


def tls_for(config: HttpConfig, profile: Profile) -> ssl.SSLContext | None:
    """Return how to speak TLS; None where HTTP is spoken plain.

    Raises
    ------
    OSError, ValueError
        The certificate cannot be used.
    """
    if not config.has_tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if config.certificate:
        _load(context, config.certificate, config.key)
        return context
    path = profile.gateway_certificate
    names = names_of(config)
    if not _is_good(path, names):
        write_private(path, make(names))
    context.load_cert_chain(path)
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Take a pair that is given, or say what is wrong with it."""
    asked = []

    def password() -> str:  # else OpenSSL would ask a terminal for it
        asked.append(key)
        return ""

    try:
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError as error:
        if asked:
            why = "the key is encrypted, and nobody is there to give its password"
        elif error.reason == "KEY_VALUES_MISMATCH":
            why = "the key is another certificate's"
        elif error.reason:
            why = error.reason.lower().replace("_", " ")
        else:  # OpenSSL says no more than that one of them is no PEM
            why = f"no {'key' if _has_certificate(Path(certificate)) else 'certificate'} of PEM is in its file"
        raise ValueError(f"{certificate} and {key} are no certificate and its key: {why}") from error


def _has_certificate(path: Path) -> bool:
    try:
        return bool(_certificate(path.read_bytes()))
    except ValueError:
        return False


def names_of(config: HttpConfig) -> tuple[str, ...]:
    """Return the names and addresses that a certificate of ours is for."""
    named = [each.strip("[]") for each in config.hosts if each != "*"]
    named += own_names(config.address) if config.address in WILDCARDS else [config.address]
    return tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", *named)))


def make(names: Sequence[str]) -> bytes:
    """Return a new key, and a certificate signed by it alone, PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    whose = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ctrl-hub gateway")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(whose)
        .issuer_name(whose)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def fingerprint(path: Path) -> str:
    """Return the SHA-256 fingerprint of a certificate, as browsers and openssl show it."""
    from cryptography.hazmat.primitives import hashes

    digest = _certificate(path.read_bytes()).fingerprint(hashes.SHA256())
    return ":".join(f"{byte:02X}" for byte in digest)


def _is_good(path: Path, names: Sequence[str]) -> bool:
    """Tell whether there is one, of these names, that is good for a while."""
    from cryptography import x509

    if not os.path.lexists(path):
        return False
    try:
        found = _certificate(read_private(path, MOST_BYTES))
        named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    left = found.not_valid_after_utc.timestamp() - time.time()
    return left > RENEW and {*map(_name, names)} <= {*named}


def _certificate(data: bytes) -> Any:
    from cryptography import x509

    return x509.load_pem_x509_certificate(data)


def _name(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
