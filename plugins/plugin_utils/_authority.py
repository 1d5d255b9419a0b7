# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fleet's own authority for TLS, and the certificates that it makes for gateways. No function touches a file."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError

# ansible-core needs the library itself. Only ansible-test imports this file where it is not.
with suppress(ImportError):
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# The organization in the names of what is made here, by which a certificate of somebody else's is known.
MARK = "etrid.gizzi gateway"
AUTHORITY_LIFE = timedelta(days=3650)
CERTIFICATE_LIFE = timedelta(days=365)
# A certificate with less than this left is made anew.
RENEWED = timedelta(days=60)
# A host's clock may be behind.
PAST = timedelta(hours=1)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
# The longest common name that a certificate may have.
_NAME_LENGTH = 64
Extensions = list[tuple["x509.ExtensionType", bool]]


@dataclass(frozen=True)
class Pair:
    """A certificate and the private key that belongs to it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def certificate_pem(self) -> str:
        """Return the certificate as PEM text."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def key_pem(self) -> str:
        """Return the private key as PEM text, which is secret."""
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(encoding, form, serialization.NoEncryption()).decode("ascii")

    def expires(self, now: datetime) -> int:
        """Return the seconds that are left."""
        return int((self.certificate.not_valid_after_utc - now).total_seconds())


def clock() -> datetime:
    """Return the present time, in whole seconds as certificates have them."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new private key on the curve P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def read_certificate(text: str, where: str) -> x509.Certificate:
    """Return the first certificate of a PEM text; raise GizziError, which names where it is from, if there is none."""
    try:
        certificate = x509.load_pem_x509_certificate(text.encode())
        # These are read now: the library reads them late, and raises then.
        _parts = (certificate.subject, certificate.issuer, certificate.extensions, certificate.public_key())
    except _unreadable():
        raise GizziError(f"{where} is no certificate in PEM form.") from None
    return certificate


def read_any_key(text: str, where: str) -> PrivateKeyTypes:
    """Return the private key of a PEM text; raise GizziError, which never shows the text, if there is none."""
    try:
        return serialization.load_pem_private_key(text.encode(), password=None)
    except _unreadable():
        raise GizziError(
            f"{where} is no private key in PEM form without a password. It goes from its line BEGIN to its line END."
        ) from None


def read_key(text: str, where: str) -> ec.EllipticCurvePrivateKey:
    """Return a private key on the curve P-256; raise GizziError, which never shows the text, if there is none."""
    key = read_any_key(text, where)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise GizziError(f"{where} is a private key of another kind than the P-256 that is made here.")
    return key


def names_of(addresses: Iterable[str]) -> list[x509.GeneralName]:
    """Return addresses and names as a certificate has them, sorted, each once; raise GizziError for a wrong one."""
    found = {_name_of(address) for address in addresses}
    return sorted(found, key=lambda name: (isinstance(name, x509.DNSName), str(name.value)))


def is_made_here(certificate: x509.Certificate) -> bool:
    """Return whether a certificate's issuer has the name of an authority of ours: this one's or an earlier one's."""
    return [one.value for one in certificate.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [MARK]


def made_authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> Pair:
    """Return an authority for a key. Of the same key, what it has made stays good, and its earlier certificate too."""
    name = _authority_name(key)
    return Pair(_signed(name, key, name, key, _authority_extensions(key), now, AUTHORITY_LIFE), key)


def authority_of(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, where: str, now: datetime) -> Pair:
    """Return the authority of a certificate and its key.

    Raise GizziError, which names where the certificate is from, if they do not belong together, if the certificate was
    not made here, and if it is not valid yet.
    """
    if certificate.public_key() != key.public_key():
        raise GizziError(
            f"{where} and the authority's key do not belong together. Put both back from the same backup; or take both "
            "away, and the next run makes a new authority."
        )
    if certificate.subject != _authority_name(key):
        raise GizziError(
            f"{where} is the certificate of an authority that was not made here. Put it and its key elsewhere: that "
            "key can sign for more than gateways."
        )
    if certificate.not_valid_before_utc > now:
        raise GizziError(
            f"{where} begins at {certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}, and this machine's clock says "
            f"{now:%Y-%m-%dT%H:%M:%SZ}. Set the clock. If it is right now, take {where} away: it is made again from "
            "its key."
        )
    return Pair(certificate, key)


def authority_reason(authority: Pair, now: datetime) -> str:
    """Return why the authority's certificate must be made again, so that it outlives all that it makes; or empty."""
    end = authority.certificate.not_valid_after_utc
    if end - now < CERTIFICATE_LIFE + RENEWED:
        return f"it ends at {end:%Y-%m-%dT%H:%M:%SZ}"
    return "" if _extensions(authority) == _authority_extensions(authority.key) else "it has another form"


def made(authority: Pair, host: str, names: Sequence[x509.GeneralName], now: datetime) -> Pair:
    """Return a new key for a host and its certificate for addresses and names."""
    key = new_key()
    subject = _named(f"gateway of {host}"[:_NAME_LENGTH])
    issuer = authority.certificate.subject
    extensions = _host_extensions(authority, key, names)
    return Pair(_signed(subject, key, issuer, authority.key, extensions, now, CERTIFICATE_LIFE), key)


def reason(
    certificate: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    authority: Pair,
    names: Sequence[x509.GeneralName],
    now: datetime,
) -> str:
    """Return why a host's certificate must be made anew, in a few words; empty where it is good."""
    pair = Pair(certificate, key)
    if certificate.public_key() != key.public_key():
        return "its key is another one"
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return "the authority is another one"
    if _extensions(pair) != _host_extensions(authority, key, names):
        return "its addresses or names have changed"
    if certificate.not_valid_before_utc > now:
        return "it is not valid yet"
    if certificate.not_valid_after_utc - now < RENEWED:
        return f"it ends at {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    return ""


def _unreadable() -> tuple[type[Exception], ...]:
    """Return what the library raises for broken texts."""
    x509_errors = (x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)
    return (ValueError, TypeError, UnsupportedAlgorithm, *x509_errors)


def _name_of(text: str) -> x509.GeneralName:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        labels = text.split(".")
        if len(text) < 254 and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit():
            return x509.DNSName(text.lower())
    else:
        # An address with a zone (fe80::1%eth0) means something on one host only.
        if not getattr(address, "scope_id", None):
            return x509.IPAddress(address)
    raise GizziError(
        f"{text!r} is neither an address nor a host's name. Write it like 192.0.2.1, 2001:db8::1 or host.example.org, "
        "without port, zone or wildcard, and with letters of ASCII."
    )


def _named(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, MARK), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


def _authority_name(key: ec.EllipticCurvePrivateKey) -> x509.Name:
    """Return a name that no other key has, so that a client never takes one authority for another."""
    return _named(f"authority {x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()[:16]}")


def _extensions(pair: Pair) -> Extensions:
    return [(one.value, one.critical) for one in pair.certificate.extensions]


def _authority_extensions(key: ec.EllipticCurvePrivateKey) -> Extensions:
    return [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_usage(for_certificates=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ]


def _host_extensions(authority: Pair, key: ec.EllipticCurvePrivateKey, names: Sequence[x509.GeneralName]) -> Extensions:
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(for_certificates=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName(names), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False),
    ]


def _usage(for_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not for_certificates,
        key_cert_sign=for_certificates,
        crl_sign=for_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    extensions: Extensions,
    now: datetime,
    life: timedelta,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - PAST)
        .not_valid_after(now + life)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())
