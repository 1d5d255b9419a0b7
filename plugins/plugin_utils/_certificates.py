# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates that the gateways shall have, in the folder of the control host: kept, made, renewed, removed."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.plugin_utils._authority import (
    Pair,
    authority_of,
    authority_reason,
    is_made_here,
    made,
    made_authority,
    names_of,
    new_key,
    read_certificate,
    read_key,
    reason,
)
from ansible_collections.etrid.gizzi.plugins.plugin_utils._authority_folder import opened

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    from ansible_collections.etrid.gizzi.plugins.plugin_utils._authority_folder import Folder

AUTHORITY = "authority"
Names = dict[str, list["x509.GeneralName"]]


@dataclass
class Kept:
    """The authority, the hosts' certificates, and what a run changes: why a certificate is new, by host."""

    authority: Pair
    hosts: dict[str, Pair] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def certificates(path: Path, hosts: Mapping[t.Any, t.Any], authority_key: str, now: datetime, check: bool) -> Kept:
    """Bring the folder to what hosts need, and return it; in check mode return what a run would make, unwritten.

    All files are read before one is written. A run that is cut off leaves a folder with which the next one goes on.

    :param hosts: the addresses and names of each host.
    :param authority_key: PEM text, secret; empty for the key in the folder.
    :param now: in UTC, whole seconds.
    :raises GizziError: for a wrong value, and for a file that is broken, not made here, or open to others.
    """
    wanted = _wanted(hosts)
    with opened(path, check) as folder:
        key, key_is_new = _authority_key(folder, authority_key)
        authority, why = _authority(folder, key, now)
        kept = Kept(authority, reasons={AUTHORITY: why} if why else {})
        for host, names in wanted.items():
            pair, why = _host(folder, authority, host, names, now)
            kept.hosts[host] = pair
            if why:
                kept.reasons[host] = why
        gone = _taken_off(folder, wanted)
        kept.reasons |= dict.fromkeys(gone, "it is not asked for any more")
        if key_is_new:
            folder.write(_key(AUTHORITY), authority.key_pem())
        if AUTHORITY in kept.reasons:
            folder.write(_certificate(AUTHORITY), authority.certificate_pem())
        # A host's key is written last and removed first: one that stands alone is never ours.
        for host in [host for host in wanted if host in kept.reasons]:
            folder.write(_certificate(host), kept.hosts[host].certificate_pem())
            folder.write(_key(host), kept.hosts[host].key_pem())
        for host in gone:
            folder.remove(_key(host))
            folder.remove(_certificate(host))
    return kept


def _certificate(name: str) -> str:
    return f"{name}.pem"


def _key(name: str) -> str:
    return f"{name}.key"


def _wanted(hosts: Mapping[t.Any, t.Any]) -> Names:
    """Return each host's names as a certificate has them; raise GizziError with all that is wrong."""
    wanted: Names = {}
    problems: list[str] = []
    for host, addresses in hosts.items():
        if not isinstance(host, str) or not host or "/" in host or host.startswith(".") or not host.isprintable():
            problems.append(f"hosts has {host!r}, which cannot be the name of a file. Give the host another name.")
        elif host == AUTHORITY:
            problems.append(f"hosts has {host!r}, which is the name of the authority's own file. Give it another name.")
        elif not isinstance(addresses, list) or not addresses or not all(isinstance(one, str) for one in addresses):
            problems.append(f"hosts.{host} is {addresses!r}. It must be a list with one address or name at least.")
        else:
            try:
                wanted[host] = names_of(addresses)
            except GizziError as error:
                problems.append(f"hosts.{host}: {error}")
    if problems:
        raise GizziError("\n".join(problems))
    return wanted


def _authority_key(folder: Folder, given: str) -> tuple[ec.EllipticCurvePrivateKey, bool]:
    """Return the authority's key, and whether it is new and must be written."""
    if given:
        return read_key(given, "authority_key"), False
    where = folder.where(_key(AUTHORITY))
    text = folder.read(_key(AUTHORITY))
    if text is not None:
        try:
            return read_key(text, where), False
        except GizziError as error:
            raise GizziError(
                f"{error} Put it back from a backup. Without one take it and {folder.where(_certificate(AUTHORITY))} "
                "away, and the next run makes a new authority."
            ) from None
    if folder.read(_certificate(AUTHORITY)) is not None:
        raise GizziError(
            f"{folder.where(_certificate(AUTHORITY))} is there, and its key {where} is not. Put the key back from a "
            "backup, or give it as authority_key; or take the certificate away, and the next run makes a new authority."
        )
    return new_key(), True


def _authority(folder: Folder, key: ec.EllipticCurvePrivateKey, now: datetime) -> tuple[Pair, str]:
    """Return the authority, and why its certificate is new; empty where it is that of the folder."""
    where = folder.where(_certificate(AUTHORITY))
    text = folder.read(_certificate(AUTHORITY))
    if text is None:
        return made_authority(key, now), "it is missing"
    try:
        certificate = read_certificate(text, where)
    except GizziError as error:
        raise GizziError(
            f"{error} Put it back from a backup, or take it away: the next run makes it again from its key."
        ) from None
    authority = authority_of(certificate, key, where, now)
    why = authority_reason(authority, now)
    return (made_authority(key, now), why) if why else (authority, "")


def _host(folder: Folder, authority: Pair, host: str, names: list[x509.GeneralName], now: datetime) -> tuple[Pair, str]:
    """Return a host's certificate and key, and why they are new; empty where they are those of the folder."""
    found = _read(folder, host)
    if found is None or found.key is None:
        return made(authority, host, names, now), "it is missing"
    why = reason(found.certificate, found.key, authority, names, now)
    return (made(authority, host, names, now), why) if why else (Pair(found.certificate, found.key), "")


@dataclass(frozen=True)
class _Found:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | None


def _read(folder: Folder, host: str) -> _Found | None:
    """Return a host's certificate and key, which is None where a run was cut off; None where there is neither.

    Raise GizziError for a file that was not made here: it is never overwritten and never removed.
    """
    text, key_text = folder.read(_certificate(host)), folder.read(_key(host))
    where, where_key = folder.where(_certificate(host)), folder.where(_key(host))
    remedy = "Put it elsewhere; where a new one is wanted, the next run makes it."
    if text is None:
        if key_text is None:
            return None
        raise GizziError(f"{where_key} has no certificate {where} beside it, so it was not made here. {remedy}")
    try:
        certificate = read_certificate(text, where)
        key = None if key_text is None else read_key(key_text, where_key)
    except GizziError as error:
        raise GizziError(f"{error} {remedy}") from None
    if not is_made_here(certificate):
        raise GizziError(f"{where} is a certificate that was not made here. {remedy}")
    return _Found(certificate, key)


def _taken_off(folder: Folder, wanted: Names) -> list[str]:
    """Return the hosts in the folder that are not wanted; raise GizziError where a file was not made here."""
    found = {name.rpartition(".")[0] for name in folder.names() if name.endswith((".pem", ".key"))}
    gone = sorted(found - wanted.keys() - {AUTHORITY})
    for host in gone:
        _read(folder, host)
    return gone
