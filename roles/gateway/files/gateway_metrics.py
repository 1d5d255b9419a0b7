# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write how this host's gateway is to a file for the textfile collector of Prometheus' node_exporter.

    gizzi-gateway-metrics --listener NAME=ADDRESS:PORT --authority FILE --folder DIR [CLIENT[=ADDRESS,ADDRESS]]...

Into the folder go gizzi-gateway.prom and, for the next run, what was counted and up to where. What is not known is left
out. A run that fails leaves the earlier file; gizzi_gateway_log_read_timestamp_seconds shows that it is old, and so it
does while the log cannot be read.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway_certificates import Listener, expiries, read_authority, served
from gateway_log import OWN_CLASSES, Known, LogError, State, count, format_state, parse_state, plain_address
from textfile import metric, read, write

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


def render(state: State, up: Mapping[Listener, bool], expire: Mapping[str, float]) -> str:
    """Return the metrics in Prometheus' text format; what is not known is left out."""
    places = [({"listener": one.name, "address": one.address}, answers) for one, answers in up.items()]
    ends = [({"certificate": name}, when) for name, when in sorted(expire.items())]
    counts = [(key._asdict(), sums) for key, sums in sorted(state.counts.items())]
    requests = [(labels, sums.requests) for labels, sums in counts]
    seconds = [(labels, sums.seconds) for labels, sums in counts]
    expires = "When a listener's certificate, or the authority, expires."
    by_status = f"Requests by status; 4xx without {', '.join(map(str, OWN_CLASSES))}."
    unreadable = "Lines of the log that are no requests."
    return "".join(
        [
            metric("gizzi_gateway_up", "gauge", "Whether a listener answers.", places),
            metric("gizzi_gateway_certificate_expiry_timestamp_seconds", "gauge", expires, ends),
            metric("gizzi_gateway_requests_total", "counter", by_status, requests),
            metric("gizzi_gateway_request_seconds_total", "counter", "Seconds that they took.", seconds),
            metric("gizzi_gateway_log_unreadable_total", "counter", unreadable, [({}, state.unreadable)]),
            metric(
                "gizzi_gateway_log_read_timestamp_seconds", "gauge", "When the log was read last.", [({}, state.read)]
            ),
        ]
    )


def parse_listener(text: str) -> Listener:
    """Read NAME=ADDRESS:PORT, an address of IPv6 in brackets; ValueError for anything else."""
    name, _equals, where = text.partition("=")
    host, _colon, port = where.rpartition(":")
    address = ipaddress.ip_address(host.strip("[]"))
    if not _NAME.fullmatch(name) or not 0 < int(port) < 65536:
        raise ValueError(text)
    return Listener(name, str(address), int(port))


def parse_client(text: str) -> tuple[str, list[str]]:
    """Read NAME or NAME=ADDRESS,ADDRESS; ValueError for anything else."""
    name, _equals, addresses = text.partition("=")
    found = [plain_address(address) for address in addresses.split(",") if address]
    if not _NAME.fullmatch(name) or not all(found):
        raise ValueError(text)
    return name, found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gizzi-gateway-metrics", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--listener", action="append", required=True, type=parse_listener, help="NAME=ADDRESS:PORT")
    parser.add_argument("--authority", required=True, type=Path, help="certificate of the fleet's authority")
    parser.add_argument("--folder", required=True, type=Path, help="where gizzi-gateway.prom is written")
    parser.add_argument("clients", nargs="*", type=parse_client, metavar="client", help="NAME or NAME=ADDRESS,ADDRESS")
    arguments = parser.parse_args(argv)

    known = Known(
        frozenset(listener.name for listener in arguments.listener),
        frozenset(name for name, _addresses in arguments.clients),
        {address: name for name, addresses in arguments.clients for address in addresses},
    )
    now = time.time()
    path = arguments.folder / "state.json"
    state = parse_state(read(path), known, now)
    try:
        count(state, known)
        state.read = now
    except LogError as error:
        print(error, file=sys.stderr)
    write(path, format_state(state))
    certificates = {listener: served(listener) for listener in arguments.listener}
    up = {listener: der is not None for listener, der in certificates.items()}
    expire = expiries(certificates, read_authority(arguments.authority))
    write(arguments.folder / "gizzi-gateway.prom", render(state, up, expire))
    return 0


if __name__ == "__main__":
    sys.exit(main())
