"""The gateway's own certificate: for its names, kept while it is good, made anew when it is not."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from ctrlhub.controller.advertising import outward_address
from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.gateway.certificate import fingerprint, make, names_of, tls_for
from ctrlhub.gateway.serving import gateway_of
from ctrlhub.wire.addresses import bracketed
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import write_private


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A profile."""
    profile = Profile.named("tls", tmp_path)
    profile.make()
    return profile


def test_none_is_made_where_none_is_needed(profile: Profile) -> None:
    """Loopback speaks HTTP, unless it is told otherwise."""
    assert tls_for(HttpConfig("8000"), profile) is None
    assert tls_for(HttpConfig("0.0.0.0:8000", plain=True), profile) is None
    assert not profile.gateway_certificate.exists()


def test_one_is_kept(profile: Profile) -> None:
    """So that who has compared its fingerprint finds it again; the file is private, since the key is in it."""
    config = HttpConfig("0.0.0.0:8000")
    context = tls_for(config, profile)
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    first = fingerprint(profile.gateway_certificate)
    assert profile.gateway_certificate.stat().st_mode & 0o777 == 0o600
    tls_for(config, profile)
    assert fingerprint(profile.gateway_certificate) == first
    assert len(first.split(":")) == 32


def test_other_names_are_another_one(profile: Profile) -> None:
    """Each name by which it is reached is in it."""
    tls_for(HttpConfig("8000", tls=True), profile)
    first = fingerprint(profile.gateway_certificate)
    more = HttpConfig("8000", tls=True, hosts=("hub.example", "[fd00::1]", "*"))
    assert {"localhost", "127.0.0.1", "::1", "hub.example", "fd00::1"} == {*names_of(more)}
    tls_for(more, profile)
    assert fingerprint(profile.gateway_certificate) != first


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_who_listens_on_all_addresses_is_asked_by_its_own(profile: Profile, wildcard: str) -> None:
    """The address by which others reach it is in its certificate, and among the hosts that it answers to."""
    config, own = HttpConfig(f"[{wildcard}]:8000"), outward_address(wildcard)
    assert {own, socket.gethostname()} <= {*names_of(config)}
    hosts = gateway_of(profile, config, 8000).hosts
    assert hosts.knows(f"{bracketed(own)}:8000")
    assert hosts.knows(f"{socket.gethostname()}:8000")
    assert not hosts.knows("203.0.113.77:8000")


@pytest.mark.parametrize("data", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"])
def test_one_that_is_damaged_is_made_anew(profile: Profile, data: bytes) -> None:
    """It is the gateway's own, and nobody else's."""
    write_private(profile.gateway_certificate, data)
    assert tls_for(HttpConfig("8000", tls=True), profile) is not None


def test_one_that_is_given_is_taken_or_refused(profile: Profile, tmp_path: Path) -> None:
    """What is wrong with it is said."""
    pem = tmp_path / "given.pem"
    pem.write_bytes(make(("hub.example",)))
    assert tls_for(HttpConfig("8000", certificate=str(pem), key=str(pem)), profile) is not None
    other, nothing, locked = tmp_path / "other.pem", tmp_path / "nothing.pem", tmp_path / "locked.pem"
    other.write_bytes(make(("hub.example",)))
    nothing.write_bytes(b"nothing")
    key = load_pem_private_key(pem.read_bytes(), None)
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")))
    for certificate, its_key, why in (
        (nothing, pem, "no certificate of PEM"),
        (pem, nothing, "no key of PEM"),
        (pem, other, "another certificate's"),
        (pem, locked, "encrypted"),
    ):
        with pytest.raises(ValueError, match=f"no certificate and its key: .*{why}"):
            tls_for(HttpConfig("8000", certificate=str(certificate), key=str(its_key)), profile)
    with pytest.raises(FileNotFoundError):
        tls_for(HttpConfig("8000", certificate="/nowhere.pem", key="/nowhere.pem"), profile)
    assert not profile.gateway_certificate.exists()
