# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A gateway's certificate and its key, on the control host: their form, and when the certificate counts."""

from __future__ import annotations

from datetime import datetime, timezone
from ipaddress import ip_address
from typing import Any


def certificate_problems(certificate: str, key: str) -> list[str]:
    """Return the problems of a chain and a key, both PEM; a message shows no part of the key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    found = []
    chain = _chain(certificate)
    if not chain:
        found.append(
            "gateway_certificate is no certificate in PEM. Give the gateway's certificate, and after it those between "
            "it and the authority."
        )
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return [
            *found,
            "gateway_key is no private key in PEM without a passphrase. Give the key of gateway_certificate.",
        ]
    if chain and _public(private.public_key()) != _public(chain[0].public_key()):
        found.append("gateway_key is not the key of gateway_certificate. Give the two that belong together.")
    return found


def purpose_problems(certificate: str, address: str) -> list[str]:
    """Return why clients that ask an address would refuse a chain for it, whoever has signed it."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    chain = _chain(certificate)
    if not chain:
        return []
    try:
        asked = ip_address(address)
    except ValueError:
        return [f"gizzi_addresses has {address!r}. It must be an IPv4 or IPv6 address."]
    names = _extension(chain[0], x509.SubjectAlternativeName)
    usage = _extension(chain[0], x509.ExtendedKeyUsage)
    known = names.get_values_for_type(x509.IPAddress) if names else []
    found = []
    if asked not in known:
        has = ", ".join(str(one) for one in known) or "none"
        found.append(
            f"gateway_certificate is not for {address}, at which the others reach the host. Its addresses: {has}. Get "
            "one with that address in its subjectAltNames."
        )
    if usage is not None and ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        found.append("gateway_certificate is not for servers. Get one with the extended key usage serverAuth.")
    return found


def time_problems(certificate: str, now: float) -> list[str]:
    """Return the problem of a chain of which a part does not count yet, or no more; now is in seconds since 1970."""
    time = datetime.fromtimestamp(now, timezone.utc)
    found = []
    for one in _chain(certificate):
        name = one.subject.rfc4514_string() or "the certificate"
        if time < one.not_valid_before_utc:
            found.append(
                f"gateway_certificate: {name} counts from {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, and the "
                f"host's clock says {time:%Y-%m-%d %H:%M}. Set the clock."
            )
        if time >= one.not_valid_after_utc:
            found.append(
                f"gateway_certificate: {name} has ended on {one.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, by the host's "
                "clock. Renew it."
            )
    return found


def _chain(certificate: str) -> list[Any]:
    """Return the certificates of the text, none where it has another form."""
    # Only on the control host: a managed host needs no cryptography.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        chain = list(x509.load_pem_x509_certificates(certificate.encode()))
        # These are read now: the library reads them late, and raises then.
        _parts = [(one.subject, one.extensions, one.public_key()) for one in chain]
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return []
    return chain


def _extension(certificate: Any, kind: Any) -> Any:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _public(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    encoded: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded
