# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a gateway serves what is in its folder: its own process, on each of its addresses, with its certificate.

nginx ends a reload well that it could not carry out, for instance because of a taken port, and goes on as it was.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
import time
from pathlib import Path

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _ports, _seen

PROC = Path("/proc")
CONFIG = "nginx.conf"
CERTIFICATE = "certificate.pem"
# Timeout of one connection, and the time between two looks, in seconds.
CONNECT_TIMEOUT = 5
PAUSE = 0.2
_LISTEN = re.compile(r"^\s*listen\s+(\S+):(\d+)(\s+ssl)?\s*;", re.MULTILINE)
_WORKER = "nginx: worker process"
_ENDS = "is shutting down"


class Gateway:
    """A gateway of this host.

    :param unit: its unit.
    :param folder: the folder of its configuration and certificate.
    """

    def __init__(self, unit: str, folder: Path, proc: Path = PROC) -> None:
        self._unit = unit
        self._folder = folder
        self._proc = proc

    def wait(self, reloaded: bool, timeout: float) -> str:
        """Wait until it serves. Returns why it does not within timeout seconds, "" when it does.

        :param reloaded: whether it must have read its folder since the last change there.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                reason = self.reason(reloaded)
            except (GizziError, OSError) as error:
                reason = f"{error}."
            if not reason or time.monotonic() >= deadline:
                return reason
            time.sleep(PAUSE)

    def reason(self, reloaded: bool) -> str:
        """Return why it does not serve what is in its folder, "" when it does. Raise GizziError or OSError likewise."""
        listens = self.listens()
        if not listens:
            return f"{self._folder / CONFIG} has no address to listen on."
        holders = _ports.ports([port for _address, port, _tls in listens], self._proc)
        reasons = [self._holder_problem(address, port, holders[str(port)]) for address, port, _tls in listens]
        # A worker that is older may serve with what was there before.
        reasons = [one for one in reasons if one] or ([self._worker_problem()] if reloaded else [])
        certificate = self._certificate()
        return next((one for one in reasons if one), "") or next(
            (one for address, port, tls in listens if tls and (one := _served_problem(address, port, certificate))), ""
        )

    def listens(self) -> list[tuple[str, int, bool]]:
        """Return the addresses, IPv6 without brackets, and ports of the configuration, and whether they take TLS."""
        text = _seen.read_text(self._folder / CONFIG)
        return [(address.strip("[]"), int(port), bool(tls)) for address, port, tls in _LISTEN.findall(text)]

    def _certificate(self) -> bytes:
        text = _seen.read_text(self._folder / CERTIFICATE)
        start = text.find(ssl.PEM_HEADER)
        end = text.find(ssl.PEM_FOOTER)
        if start < 0 or end < 0:
            raise GizziError(f"{self._folder / CERTIFICATE} has no certificate")
        return ssl.PEM_cert_to_DER_cert(text[start : end + len(ssl.PEM_FOOTER)])

    def _holder_problem(self, address: str, port: int, holders: object) -> str:
        if not isinstance(holders, list):
            return f"Who listens on port {port} cannot be seen: {holders}."
        own = {one["address"] for one in holders if one["unit"] == self._unit}
        if address in own:
            return ""
        others = [one for one in holders if one["unit"] != self._unit and _overlaps(one["address"], address)]
        taken = ", ".join(f"{one['process'] or 'somebody'} ({one['unit'] or one['pid']})" for one in others)
        return f"The gateway does not listen on {_url(address, port)}" + (f": {taken} has the port." if taken else ".")

    def _worker_problem(self) -> str:
        """Return the problem where a worker that takes requests began before the last change of the folder."""
        changed = max(path.stat().st_mtime for path in (self._folder, *self._folder.glob("*/")))
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        ticks = [self._began(path) for path in self._proc.iterdir() if path.name.isdigit() and self._is_worker(path)]
        if not ticks:
            return "The gateway has no worker."
        if booted + min(ticks) / os.sysconf("SC_CLK_TCK") < changed:
            return "The gateway has not taken up its configuration, and goes on with the one before."
        return ""

    def _is_worker(self, process: Path) -> bool:
        try:
            title = _seen.read_text(process / "cmdline").replace("\0", " ")
        except _seen.UnseenError:
            return False
        return title.startswith(_WORKER) and _ENDS not in title and _ports.unit_of(process) == self._unit

    @staticmethod
    def _began(process: Path) -> int:
        # The program's name, in brackets, may have blanks.
        return int(_seen.read_text(process / "stat").rpartition(")")[2].split()[19])


def _overlaps(held: str, wanted: str) -> bool:
    """Return whether a listener on one address can prevent one on the other."""
    one, other = ipaddress.ip_address(held), ipaddress.ip_address(wanted)
    # A listener on all of IPv6 may be one on all of IPv4 too.
    return one == other or one.is_unspecified or (other.is_unspecified and one.version == other.version)


def _url(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _served_problem(address: str, port: int, certificate: bytes) -> str:
    """Return the problem where another certificate is served than this one, in DER."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    # Who serves is known already: only the certificate is looked at, whatever it is.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((reached, port), CONNECT_TIMEOUT) as plain, context.wrap_socket(plain) as served:
            shown = served.getpeercert(binary_form=True)
    except OSError as error:
        return f"{_url(address, port)} does not answer with TLS: {error}."
    return "" if shown == certificate else f"{_url(address, port)} serves another certificate than the one in place."
