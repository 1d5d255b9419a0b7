# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates in real handshakes of OpenSSL, with a client that trusts one authority only, and is strict."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.verification import PolicyBuilder, Store

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.plugin_utils._authority import (
    Pair,
    authority_of,
    authority_reason,
    clock,
    made,
    made_authority,
    names_of,
    new_key,
    read_certificate,
    read_key,
    reason,
)

NOW = clock()
ADDRESSES = ("192.0.2.1", "2001:db8::1", "gizzi.example.org")
DAY = timedelta(days=1)


def issued(authority: Pair, addresses: Sequence[str] = ADDRESSES, now: datetime = NOW) -> Pair:
    return made(authority, "gizzi", names_of(addresses), now)


@pytest.fixture(scope="module")
def authority() -> Pair:
    return made_authority(new_key(), NOW)


def shake(folder: Path, trusted: Pair, server: Pair, name: str) -> None:
    """Do a handshake in memory; raise what the client raises."""
    chain = folder / "server.pem"
    chain.write_text(server.certificate_pem() + server.key_pem())
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(chain)
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # What ssl.create_default_context() has from Python 3.13 on.
    asking.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    asking.load_verify_locations(cadata=trusted.certificate_pem())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server, server_hostname=name)
    other = serving.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, other, client, other):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert client.getpeercert()


def test_each_address_and_name_is_accepted_by_a_strict_client(tmp_path: Path, authority: Pair) -> None:
    server = issued(authority)
    for name in ADDRESSES:
        shake(tmp_path, authority, server, name)


def test_a_second_library_with_other_rules_accepts_it_too(authority: Pair) -> None:
    builder = PolicyBuilder().store(Store([authority.certificate])).time(NOW)
    server = issued(authority).certificate
    for name in names_of(ADDRESSES):
        assert isinstance(name, (x509.DNSName, x509.IPAddress))
        assert builder.build_server_verifier(name).verify(server, []) == [server, authority.certificate]


@pytest.mark.parametrize("name", ["192.0.2.2", "2001:db8::2", "other.example.org", "gateway of gizzi", "gizzi"])
def test_another_host_is_refused(tmp_path: Path, authority: Pair, name: str) -> None:
    """The host's name in the inventory is in the certificate for readers only."""
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch, certificate is not valid"):
        shake(tmp_path, authority, issued(authority), name)


def test_without_a_name_the_subject_is_not_taken_for_one(tmp_path: Path, authority: Pair) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(tmp_path, authority, issued(authority, ["192.0.2.1"]), "gizzi")


def test_another_authority_is_refused(tmp_path: Path, authority: Pair) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer certificate"):
        shake(tmp_path, authority, issued(made_authority(new_key(), NOW)), "192.0.2.1")


def test_an_expired_one_is_refused(tmp_path: Path) -> None:
    old = made_authority(new_key(), NOW - 400 * DAY)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        shake(tmp_path, old, issued(old, now=NOW - 400 * DAY), "192.0.2.1")


def test_a_gateway_cannot_sign_for_others(tmp_path: Path, authority: Pair) -> None:
    """Whoever takes over a gateway has its key."""
    gateway = issued(authority)
    forged = issued(Pair(gateway.certificate, gateway.key), ["192.0.2.9"])
    chain = Pair(forged.certificate, forged.key)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(tmp_path, authority, chain, "192.0.2.9")
    bound = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (bound.value.ca, bound.value.path_length) == (True, 0)
    # Also where the gateway's certificate is sent along.
    policy = PolicyBuilder().store(Store([authority.certificate])).time(NOW)
    name = names_of(["192.0.2.9"])[0]
    assert isinstance(name, x509.IPAddress)
    with pytest.raises(x509.verification.VerificationError):
        policy.build_server_verifier(name).verify(forged.certificate, [gateway.certificate])


def test_a_renewed_authority_and_what_it_made_before_go_together(tmp_path: Path) -> None:
    before = made_authority(new_key(), NOW - 3300 * DAY)
    after = made_authority(before.key, NOW)
    shake(tmp_path, after, issued(before), "192.0.2.1")
    shake(tmp_path, before, issued(after), "192.0.2.1")
    assert reason(*parts(issued(before)), after, names_of(ADDRESSES), NOW) == ""


def test_a_clock_that_is_behind_does_not_refuse_a_new_one(authority: Pair) -> None:
    for one in (authority, issued(authority)):
        assert one.certificate.not_valid_before_utc == NOW - timedelta(hours=1)


def test_lives(authority: Pair) -> None:
    assert authority.expires(NOW) == 3650 * 86400
    assert issued(authority).expires(NOW) == 365 * 86400


def parts(pair: Pair) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    return pair.certificate, pair.key


def test_reasons_for_a_new_one(authority: Pair) -> None:
    names = names_of(ADDRESSES)
    good = issued(authority)

    def why(pair: Pair, wanted: Sequence[str] = ADDRESSES, now: datetime = NOW, by: Pair = authority) -> str:
        return reason(*parts(pair), by, names_of(wanted), now)

    assert names == names_of([*reversed(ADDRESSES), "GIZZI.example.org", "2001:db8:0::1"])
    assert why(good) == why(good, now=NOW + 305 * DAY) == ""
    assert why(good, now=NOW + 305 * DAY + timedelta(seconds=1)).startswith("it ends at 20")
    assert why(good, now=NOW + 500 * DAY).startswith("it ends at 20")
    assert why(good, now=NOW - DAY) == "it is not valid yet"
    for wanted in ([*ADDRESSES[:2]], [*ADDRESSES, "192.0.2.2"], ["192.0.2.2"]):
        assert why(good, wanted) == "its addresses or names have changed"
    assert why(good, by=made_authority(new_key(), NOW)) == "the authority is another one"
    assert why(Pair(good.certificate, new_key())) == "its key is another one"


def test_an_authority_outlives_all_that_it_makes(authority: Pair) -> None:
    last = NOW + (3650 - 425) * DAY
    assert authority_reason(authority, NOW) == authority_reason(authority, last) == ""
    assert authority_reason(authority, last + timedelta(seconds=1)).startswith("it ends at ")
    assert issued(authority, now=last).certificate.not_valid_after_utc < authority.certificate.not_valid_after_utc


def test_an_authority_of_others_and_a_wrong_clock(authority: Pair) -> None:
    certificate, key = parts(authority)
    assert authority_of(certificate, key, "here", NOW) == authority
    with pytest.raises(GizziError, match=r"here and the authority's key do not belong together\. Put both back"):
        authority_of(certificate, new_key(), "here", NOW)
    with pytest.raises(GizziError, match="here is the certificate of an authority that was not made here"):
        authority_of(*parts(issued(authority)), "here", NOW)
    with pytest.raises(GizziError, match=r"clock says 2020-01-01T00:00:00Z\. Set the clock"):
        authority_of(certificate, key, "here", datetime(2020, 1, 1, tzinfo=timezone.utc))


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "*.example.org",
            "192.0.2.1:11443",
            "[2001:db8::1]",
            "fe80::1%eth0",
            "192.0.2.0/24",
            "192.0.2.300",
            "a b",
        ),
        *("ëtrid.example.org", "a..b", "-a", "a.example.org.", f"{'a' * 64}.org", "a\n"),
    ],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(GizziError, match=r"is neither an address nor a host's name\. Write it like"):
        names_of([address])


def encoded(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: str = "") -> str:
    scheme: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        scheme = serialization.BestAvailableEncryption(password.encode())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, scheme)
    return key.private_bytes(*form).decode()


def test_texts_are_read_again_and_never_shown(authority: Pair) -> None:
    assert read_certificate(authority.certificate_pem(), "here") == authority.certificate
    text = authority.key_pem()
    assert read_key(f"\n{text}\n", "here").private_numbers() == authority.key.private_numbers()
    secret = text.splitlines()[1]
    for broken in ("", text[:80], secret, "é", encoded(authority.key, "hunter2")):
        with pytest.raises(GizziError, match="here is no private key in PEM form without a password") as error:
            read_key(broken, "here")
        assert secret not in str(error.value)
        with pytest.raises(GizziError, match="here is no certificate in PEM form"):
            read_certificate(broken, "here")
    for other in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        with pytest.raises(GizziError, match="here is a private key of another kind than the P-256"):
            read_key(encoded(other), "here")


def test_a_long_host_name_is_cut_in_the_subject(authority: Pair) -> None:
    assert made(authority, "x" * 200, names_of(["192.0.2.1"]), NOW).certificate.subject
