# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's service manager, kernel, distribution, names and clock."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen

ROOT = Path("/")
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")
_BOOT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def system(root: Path = ROOT) -> dict[str, Any]:
    """Return the section system; a value that cannot be read is "" or None."""
    manager = _service_manager(root)
    release = _os_release(root)
    return {
        "service_manager": manager,
        "systemd": _systemd_version() if manager == "systemd" else None,
        "architecture": _seen.short(platform.machine()),
        "kernel": _seen.short(platform.release()),
        "distribution": release.get("ID", ""),
        "distribution_version": release.get("VERSION_ID", ""),
        "machine_id": _matching(root / "etc/machine-id", _MACHINE_ID),
        "boot_id": _matching(root / "proc/sys/kernel/random/boot_id", _BOOT_ID),
        "hostname": _seen.short(platform.node()),
        "ipv6": _has_ipv6(root),
        "time": time.time(),
        "root": os.geteuid() == 0,
    }


def commands(names: list[str]) -> dict[str, Any]:
    """Return the path of each program, None where it is not installed."""
    search = ":".join(_seen.SEARCH)
    return {name: shutil.which(name, path=search) for name in names}


def _service_manager(root: Path) -> str:
    """Return the name of process 1, or "systemd" where its folder exists: see sd_booted(3)."""
    if (root / "run/systemd/system").is_dir():
        return "systemd"
    try:
        return _seen.short(_seen.read_text(root / "proc/1/comm"))
    except _seen.UnseenError:
        return ""


def _systemd_version() -> int | None:
    """Return systemd's version, 252 of "252.39-1~deb12u1"; None where it is unknown."""
    try:
        answer = _seen.answer_of(["systemctl", "show", "--property=Version", "--value"])
    except _seen.UnseenError:
        return None
    number = re.match(r"v?(\d+)", answer.strip())
    return int(number[1]) if number else None


def _has_ipv6(root: Path) -> bool:
    """Return whether an interface has an IPv6 address; a kernel without IPv6 has no such file."""
    try:
        return _seen.read_text(root / "proc/net/if_inet6").strip() != ""
    except _seen.UnseenError:
        return False


def _os_release(root: Path) -> dict[str, str]:
    """Return the fields of os-release(5), which has lines with shell assignments."""
    for path in (root / "etc/os-release", root / "usr/lib/os-release"):
        try:
            lines = _seen.read_text(path).splitlines()
        except _seen.UnseenError:
            continue
        fields = {}
        for name, equals, value in (line.partition("=") for line in lines):
            if equals and not name.startswith("#"):
                fields[name.strip()] = _seen.short(_unquoted(value))
        return fields
    return {}


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value)[:1])
    except ValueError:
        return value


def _matching(path: Path, form: re.Pattern[str]) -> str:
    """Return a file's only line where it matches the form, else ""."""
    try:
        text = _seen.read_text(path).strip()
    except _seen.UnseenError:
        return ""
    return text if form.fullmatch(text) else ""
