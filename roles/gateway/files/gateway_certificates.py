# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway's listeners, and when their certificates expire: those that are served, whatever lies on the disk."""

from __future__ import annotations

import math
import re
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

CONNECT_TIMEOUT = 10.0
MAX_AUTHORITY = 1_000_000

# Tags of DER.
_VERSION = 0xA0
_TIMES = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}


@dataclass(frozen=True)
class Listener:
    """Where the gateway should listen; name says for what."""

    name: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """The address as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def served(listener: Listener) -> bytes | None:
    """Return the certificate that a listener serves, in DER; None if it does not answer.

    Nothing is asked for, so that the gateway writes nothing to its log.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # An expired certificate is to be seen too; nothing is sent to whoever answers.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        connection = socket.create_connection((listener.host, listener.port), CONNECT_TIMEOUT)
        with connection, context.wrap_socket(connection) as secured:
            return secured.getpeercert(binary_form=True)
    except (OSError, ValueError) as error:
        print(f"listener {listener.name} at {listener.address}: {error}", file=sys.stderr)
        return None


def read_authority(path: Path) -> list[bytes]:
    """Return the certificates of a PEM file in DER, none if there is no such file or it cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_AUTHORITY).decode("ascii", "replace")
        parts = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.DOTALL)
        return [ssl.PEM_cert_to_DER_cert(part) for part in parts]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        print(f"authority {path}: {error}", file=sys.stderr)
        return []


def expiry(der: bytes) -> float | None:
    """Return when a certificate in DER expires, in seconds since the epoch; None for anything else."""
    try:
        # A certificate is a sequence, and so is its first part: [version], serial number, algorithm, issuer, validity.
        (_tag, signed), *_rest = elements(der)
        (_tag, fields), *_rest = elements(signed)
        _number, _algorithm, _issuer, (_tag, validity), *_rest = (one for one in elements(fields) if one[0] != _VERSION)
        _begin, (tag, content) = elements(validity)
        until = datetime.strptime(content.decode("ascii"), _TIMES[tag]).replace(tzinfo=timezone.utc)
    except (ValueError, KeyError):
        return None
    return until.timestamp()


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element in DER; ValueError where one is cut off."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise ValueError("cut off")
        tag, length = data[at], data[at + 1]
        at += 2
        if length >= 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError("cut off")
        yield tag, data[at : at + length]
        at += length


def expiries(listeners: Mapping[Listener, bytes | None], authority: Sequence[bytes]) -> dict[str, float]:
    """Return when certificates expire: by the listeners' names that which expires first, and the authority's."""
    found: dict[str, float] = {}
    named = [(listener.name, der) for listener, der in listeners.items() if der]
    for name, der in [*named, *(("authority", der) for der in authority)]:
        when = expiry(der)
        if when is None:
            print(f"certificate of {name}: it has no time at which it expires", file=sys.stderr)
        else:
            found[name] = min(when, found.get(name, math.inf))
    return found
