# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guard's files on the host: its definition, the program that restores its rules, and its units."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

from .. import _errors, _programs, _shown
from .._errors import GizziError
from . import definitions, host, iptables, nftables, plan, program, state, ufw, values, walk
from .definitions import UNITS, WATCH, definition_path, unit_of, unit_path

if TYPE_CHECKING:
    from types import ModuleType

    from .host import Host
    from .values import Guard

PROGRAM = "/usr/local/sbin/gizzi-guard"
_MODULES = (values, walk, iptables, nftables, ufw, host, plan, definitions, state, program)
_MAIN = """\
import sys
from gizzi._guard.program import main
sys.exit(main())
"""
# Units that load their own rules and may delete all others.
_FIREWALLS = "netfilter-persistent.service iptables.service ip6tables.service nftables.service ufw.service"
_GUARD_UNIT = """\
# Written by the module etrid.gizzi.port_guard.
[Unit]
Description=Guard of TCP port {port} ({name})
DefaultDependencies=no
# After all that loads rules of its own, before anything can connect.
After=local-fs.target systemd-modules-load.service
After={firewalls}
Wants=network-pre.target
Before={before}

[Service]
Type=oneshot
RemainAfterExit=yes
# A boot must not wait for ever.
TimeoutStartSec=90
ExecStart={command} restore {name}
ExecReload={command} restore {name}

[Install]
WantedBy=multi-user.target
{required_by}"""
_WATCH_UNIT = """\
# Written by the module etrid.gizzi.port_guard.
[Unit]
Description=Puts the guards of ports back when somebody flushes the firewall
After={firewalls}
StartLimitIntervalSec=0

[Service]
ExecStart={command} watch
Restart=always
RestartSec=1
NoNewPrivileges=yes
ProtectHome=yes
PrivateTmp=yes
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER

[Install]
WantedBy=multi-user.target
"""


def links(wanted: Guard) -> list[str]:
    """Return the paths of the links that exist while a guard's unit is enabled."""
    unit = unit_of(wanted.name)
    folders = ["multi-user.target.wants", *(f"{name}.requires" for name in wanted.units)]
    return [f"{UNITS}/{folder}/{unit}" for folder in folders]


def archive() -> bytes:
    """Return the program: this package's files as a zip archive that Python can run. The bytes are always the same."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        _add(packed, "__main__", _MAIN)
        _add(packed, "gizzi/__init__", "")
        for module in (_errors, _programs, _shown):
            _add(packed, f"gizzi/{module.__name__.rpartition('.')[2]}", _source(module))
        _add(packed, "gizzi/_guard/__init__", "")
        for module in _MODULES:
            _add(packed, f"gizzi/_guard/{module.__name__.rpartition('.')[2]}", _source(module))
    return content.getvalue()


def _add(packed: zipfile.ZipFile, name: str, source: str) -> None:
    packed.writestr(zipfile.ZipInfo(f"{name}.py"), source)


def _source(module: ModuleType) -> str:
    """Return a module's source text; this also works in the archive that Ansible sends."""
    loader: Any = module.__spec__.loader if module.__spec__ else None
    source = loader.get_source(module.__name__) if loader else None
    if not isinstance(source, str):
        raise GizziError(f"the source of {module.__name__} cannot be read")
    return source


def files(wanted: Guard, python: str) -> dict[str, tuple[bytes, int]]:
    """Return content and mode of a guard's files, by path. ``python`` runs the program."""
    command = f"{python} {PROGRAM}"
    unit = _GUARD_UNIT.format(
        name=wanted.name,
        port=wanted.port,
        command=command,
        firewalls=_FIREWALLS,
        before=" ".join(["network-pre.target", *wanted.units]),
        required_by="".join(f"RequiredBy={name}\n" for name in wanted.units),
    )
    watch = _WATCH_UNIT.format(command=command, firewalls=_FIREWALLS)
    return {
        definition_path(wanted.name): (wanted.written.encode(), 0o644),
        PROGRAM: (archive(), 0o755),
        unit_path(unit_of(wanted.name)): (unit.encode(), 0o644),
        unit_path(WATCH): (watch.encode(), 0o644),
    }


def differing(machine: Host, wanted: dict[str, tuple[bytes, int]]) -> list[str]:
    """Return the paths whose content or mode differs from what is wanted, or that are links."""
    found = []
    for path, (content, mode) in wanted.items():
        target = machine.path(path)
        try:
            same = not target.is_symlink() and target.read_bytes() == content and target.stat().st_mode & 0o7777 == mode
        except OSError:
            same = False
        if not same:
            found.append(path)
    return found
