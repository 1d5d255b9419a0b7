# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users, groups, and the host keys of the SSH server."""

from __future__ import annotations

import grp
import pwd
import re
from pathlib import Path
from typing import Any

from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen

SSH = Path("/etc/ssh")
_PUBLIC_KEY = re.compile(r"(ssh-[a-z0-9]+|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+) ([A-Za-z0-9+/]+={0,2})(?: .*)?")
MAX_KEYS = 16


def users(names: list[str]) -> dict[str, Any]:
    """Return uid, gid, home and shell of each user, None for a user that does not exist."""
    return {name: _user(name) for name in names}


def groups(names: list[str]) -> dict[str, Any]:
    """Return gid and members of each group, None for a group that does not exist."""
    return {name: _group(name) for name in names}


def ssh_host_keys(folder: Path = SSH) -> Any:
    """Return the sorted public keys of the host's SSH server; unseen where it has none."""
    try:
        files = sorted(folder.glob("ssh_host_*_key.pub"))[:MAX_KEYS]
        lines = [_seen.read_text(file).strip() for file in files]
    except (_seen.UnseenError, OSError) as error:
        return _seen.unseen(error)
    matches = [match for match in map(_PUBLIC_KEY.fullmatch, lines) if match]
    if not matches:
        return _seen.unseen(f"there is no public key in {folder}")
    return sorted(({"type": match[1], "key": match[2]} for match in matches), key=lambda key: key["type"])


def _user(name: str) -> dict[str, Any] | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return {"uid": entry.pw_uid, "gid": entry.pw_gid, "home": entry.pw_dir, "shell": entry.pw_shell}


def _group(name: str) -> dict[str, Any] | None:
    try:
        entry = grp.getgrnam(name)
    except KeyError:
        return None
    return {"gid": entry.gr_gid, "members": sorted(entry.gr_mem)}
