# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The items of the deployment checklist that are about gateways."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._report._observed import full_name
from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import API, MIRROR, OLLAMA
from ansible_collections.etrid.gizzi.plugins.module_utils._report._verdict import Verdict, runs
from ansible_collections.etrid.gizzi.plugins.module_utils._settings.gateway import UNIT as GATEWAY_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._report._given import Given
    from ansible_collections.etrid.gizzi.plugins.module_utils._report._observed import Host

DAY = 86400
# It is renewed from 60 days on, so that fewer than these show that nobody has.
LEAST_DAYS = 30
REFUSED, FORBIDDEN = 401, 403


def gateway(host: Host) -> Verdict:
    """Judge whether the gateway's service runs and starts at boot."""
    return runs(host.gateway_unit)


def gateway_listening(host: Host) -> Verdict:
    """Judge whether the gateway, and nobody else, listens on each of its ports, in each family of the host."""
    problem = listening_problem(host)
    return Verdict(not problem, problem or f"listens on {', '.join(_families(host))}")


def listening_problem(host: Host) -> str:
    """Return what is wrong with the listeners at the gateway's ports, empty when nothing is."""
    wanted, problems = _families(host), []
    for port in host.wanted.gateway.values():
        listeners = host.listeners(port)
        others = sorted({f"{one.process} on {one.address}" for one in listeners if one.unit != GATEWAY_SERVICE})
        own = {one.address for one in listeners if one.unit == GATEWAY_SERVICE}
        missing = [address for address in wanted if address not in own]
        problems += [f"port {port} is held by {', '.join(others)}"] * bool(others)
        problems += [f"the gateway does not listen on {', '.join(missing)}, port {port}"] * bool(missing)
    return "; ".join(problems)


def _families(host: Host) -> list[str]:
    return ["0.0.0.0", *(["::"] if host.ipv6 else [])]


def guard(host: Host) -> Verdict:
    """Judge whether the guard of the gateway's port for Ollama holds."""
    problem = guard_problem(host, OLLAMA)
    return Verdict(not problem, problem or f"open to {len(host.wanted.sources)} addresses of the fleet")


def api_guard(host: Host) -> Verdict:
    """Judge whether the guard of the gateway's port for the Gizzi API holds."""
    problem = guard_problem(host, API)
    return Verdict(not problem, problem or "open to the fleet")


def mirror_guard(host: Host) -> Verdict:
    """Judge whether the guard of the mirror's port holds."""
    problem = guard_problem(host, MIRROR)
    return Verdict(not problem, problem or f"open to {len(host.wanted.mirror_sources)} addresses of the fleet")


def guard_problem(host: Host, *names: str) -> str:
    """Return what is wrong with the guards of these ports, and which others are there; empty when nothing is."""
    left = [f"the guard {name} is there, and none is wanted" for name in host.left_guards]
    return "; ".join([*filter(None, map(host.guard_problem, names)), *left])


def certificate(host: Host) -> Verdict:
    """Judge what the gateway serves at each of its ports."""
    problem = certificate_problem(host)
    if problem:
        return Verdict(False, problem)
    left = min(host.certificate(port).number("left") for port in host.wanted.tls_ports)
    return Verdict(True, f"{int(left // DAY)} days left")


def certificate_problem(host: Host) -> str:
    """Return what is wrong with the certificates that the gateway serves, empty when nothing is."""
    problems = []
    for port in host.wanted.tls_ports:
        found = host.certificate(port)
        if found.text("problem"):
            problems.append(found.text("problem"))
            continue
        # The inventory may write an address in another way than the certificate.
        addresses, left = found.texts("addresses"), found.number("left")
        missing = [text for text in host.wanted.addresses if str(ipaddress.ip_address(text)) not in addresses]
        problems += [f"that of port {port} is not for {', '.join(missing)}"] * bool(missing)
        if left < LEAST_DAYS * DAY:
            problems.append(f"that of port {port} has {int(left // DAY)} days left, and should have {LEAST_DAYS}")
    return "; ".join(problems)


def refusals(host: Host) -> Verdict:
    """Judge whether each gateway that the host asks takes its token, and refuses what it should."""
    problems = []
    for url in host.wanted.gateway_urls:
        found = host.gateway(url)
        stranger, change = found.count("stranger"), found.count("change")
        problems += [found.text("token")] * bool(found.text("token"))
        if stranger != REFUSED:
            problems.append(f"{url} answers {stranger} without a token, and should answer {REFUSED}")
        if change != FORBIDDEN:
            problems.append(f"{url} answers {change} to a pull, and should answer {FORBIDDEN}")
    return Verdict(not problems, "; ".join(problems) or ", ".join(host.wanted.gateway_urls))


def mirror(host: Host) -> Verdict:
    """Judge whether the mirror that the host is, and the one that it pulls from, give its models' manifests."""
    wanted = host.wanted
    if not wanted.mirrored:
        return Verdict(None, "no model is wanted that is to come from there")
    problems: list[str] = []
    full: list[str] = []
    for url in wanted.mirrors:
        stored = host.digests if url == wanted.own_mirror else {}
        for model in wanted.mirrored:
            found = host.mirror(url).mapping(model)
            # It has others to serve, and so cannot be judged.
            (full if found.flag("full") else problems).append(_mirror_problem(url, model, found, stored))
    problems = list(filter(None, problems))
    if problems or full:
        return Verdict(False if problems else None, "; ".join(problems or full))
    return Verdict(True, f"{len(wanted.mirrored)} models at {' and '.join(wanted.mirrors)}")


def _mirror_problem(url: str, model: str, found: Given, stored: Mapping[str, str]) -> str:
    """Return why a mirror does not give a model, or that it is another than the stored one, where there is one."""
    digest, own = found.text("digest"), stored.get(full_name(model), "")
    if digest and own and digest != own:
        return f"{url} gives {model} at {digest[:12]}, and the server here has {own[:12]}"
    return found.text("problem")


def no_gateway(host: Host) -> Verdict:
    """Judge whether nothing of a gateway is there."""
    unit = host.gateway_unit
    problems = [f"{GATEWAY_SERVICE} is {unit.text('active')}"] if unit.text("load") != "not-found" else []
    problems += [guard_problem(host)] if host.left_guards else []
    return Verdict(not problems, "; ".join(problems) or "nothing of it is there")
