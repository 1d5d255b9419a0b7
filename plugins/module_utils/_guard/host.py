# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine: its commands and files, and all rules that a guard depends on."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .. import _programs
from .._errors import GizziError
from . import iptables, nftables, ufw

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGE = "nftables"
# Locked while rules are compared and changed. Only root can open this file.
LOCK = "/run/gizzi-guard.lock"
# Seconds that a program may take: more than iptables waits for its lock, less than the units wait for this program.
PATIENCE = 60.0
# systemctl waits for units, whose start and stop systemd bounds by 90 s each.
UNIT_PATIENCE = 240.0
REMEDY = "See what it waits for ('fuser -v /run/xtables.lock', 'systemctl list-jobs'), end that, and run this again."


class Host:
    """This machine; tests set ``root`` to another folder."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def has(self, tool: str) -> bool:
        return shutil.which(tool, path=SEARCH_PATH) is not None

    def run(self, argv: Sequence[str], stdin: str = "") -> str:
        """Return a command's output; GizziError with its message when it fails, or does not end."""
        environment = {"PATH": SEARCH_PATH, "LC_ALL": "C"}
        seconds = UNIT_PATIENCE if argv[0] == "systemctl" else PATIENCE
        code, output, errors = _programs.run(argv, seconds, REMEDY, stdin, environment)
        if code != 0:
            raise GizziError(f"{shlex.join(argv)} failed: {(errors or output).strip()}")
        return output

    def read(self, path: str) -> str:
        """Return a file's text, "" when it does not exist; surrogates keep bytes that are not UTF-8."""
        try:
            # As it is: read_text() would write other line ends back.
            return self.path(path).read_bytes().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return ""

    def write(self, path: str, content: str, mode: int = 0o644) -> None:
        """Write a new file and rename it; an existing file keeps its owner and mode."""
        self.write_bytes(path, content.encode("utf-8", "surrogateescape"), mode)

    def write_bytes(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a new file and rename it; an existing file keeps its owner."""
        target = self.path(path)
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.gizzi")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            if target.exists():
                os.fchown(file.fileno(), target.stat().st_uid, target.stat().st_gid)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        draft.replace(target)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock guards against changes by another run or by the program gizzi-guard."""
        lock = self.path(LOCK)
        lock.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@dataclass
class Seen:
    """The rules of this host. ``tables`` is None where nftables is not installed."""

    tables: nftables.Tables | None = None
    # The rules by IP version, and the reason where iptables cannot list them.
    listings: dict[int, str] = field(default_factory=dict)
    unseen: dict[int, str] = field(default_factory=dict)
    # The rules in ufw's files, by the IP versions that ufw manages.
    ufw: dict[int, list[ufw.UfwRule]] = field(default_factory=dict)
    # The files that netfilter-persistent loads at boot, by path.
    saved: dict[str, str] = field(default_factory=dict)

    def ufw_is_active(self, version: int) -> bool:
        """Return whether ufw filters an IP version: by the live rules, like ``ufw status``."""
        chain = f"-N {ufw.USER_CHAINS[version]}"
        return version in self.ufw and chain in self.listings.get(version, "").splitlines()


def look(host: Host) -> Seen:
    """Read all rules of a host; GizziError when nft cannot list them."""
    seen = Seen()
    if host.has("nft"):
        seen.tables = nftables.parse(host.run(["nft", "-j", "list", "ruleset"]))
    for version, program in iptables.PROGRAMS.items():
        if not host.has(program) or (version == 6 and not host.read("/proc/net/if_inet6")):
            continue
        try:
            listing = host.run([program, "-S"])
        except GizziError as error:
            seen.unseen[version] = str(error)
            continue
        # It prints "contains incompatible base-chains" and its default chains, and exits with status 0.
        if "incompatible" in listing:
            seen.unseen[version] = listing.splitlines()[0].lstrip("# ")
        else:
            seen.listings[version] = listing
    if host.has("ufw"):
        versions = (4, 6) if ufw.has_ipv6(host.read("/etc/default/ufw")) else (4,)
        seen.ufw = {version: ufw.parse(host.read(ufw.RULES_FILES[version])) for version in versions}
    seen.saved = {path: host.read(path) for path in iptables.SAVED_FILES.values()}
    return seen
