# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys by which the fleet's hosts are known to who logs in to them, as lines of a known_hosts file."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPE = re.compile(r"[a-z0-9@.-]{1,64}")
# RSA with 16384 bits has some 2800 letters.
MAX_KEY = 4000


def known_hosts(names: Mapping[str, str], keys: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """Return a line for each key, and the hosts of which no key is known.

    names: by host, as known_hosts(5) names it. keys: by host, what it answered, which is whatever it likes: one that is
    no key is left out, so that no host can write a line about another one.
    """
    lines: list[str] = []
    missing: list[str] = []
    for host, name in names.items():
        answered = keys.get(host)
        found = [key for key in map(_key, answered if isinstance(answered, list) else []) if key]
        lines += [f"{name} {key}" for key in found]
        missing += [] if found else [host]
    return lines, missing


def _key(answered: object) -> str:
    """Return type and key of what is one, else "". A key's first field is its type (RFC 4253, 6.6)."""
    if not isinstance(answered, dict):
        return ""
    kind, key = answered.get("type"), answered.get("key")
    if not isinstance(kind, str) or not isinstance(key, str) or not _TYPE.fullmatch(kind) or len(key) > MAX_KEY:
        return ""
    try:
        content = base64.b64decode(key.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        return ""
    return f"{kind} {key}" if content.startswith(len(kind).to_bytes(4, "big") + kind.encode()) else ""
