# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be wrong on a host, topic by topic: what was found, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._report import _gateway_checks as gateways
from ansible_collections.etrid.gizzi.plugins.module_utils._report._given import UnseenError, cut
from ansible_collections.etrid.gizzi.plugins.module_utils._report._observed import full_name
from ansible_collections.etrid.gizzi.plugins.module_utils._report._verdict import Verdict
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.etrid.gizzi.plugins.module_utils._report._observed import Host

DEPLOY = "run the playbook etrid.gizzi.site"
LESS_MEMORY = (
    "lower ollama_prompt_cache or ollama_context_length, use a smaller model (phi3:mini needs 4 GB), or raise "
    "ollama_memory_max, and " + DEPLOY
)
REMEDIES = {
    "reachable": "on the server: see its service, gateway and firewall; if these are fine, is this host's address in "
    "gizzi_addresses, and does the cloud's security list let it through?",
    "version": "another program answers at that address: see who listens there",
    "present": f"{DEPLOY}, or on the server: ollama pull the model",
    "loads": "on the server: see memory; a smaller model (phi3:mini) loads where a large one does not",
    "answers": "on the server: see memory and its journal, then: sudo systemctl restart ollama",
    "busy": "on the server: see what asks it (journal); then diagnose again",
    "mirror": "on the Gizzi host: see gateway, firewall and model store; if these are fine, is this host's address in "
    "gizzi_addresses, and does the cloud's security list let it through to port 11444?",
    "unknown": "diagnose again; if it stays so, on the server: see its journal and what uses its processors",
    "speed": "on the server: see memory, and what else uses its processors; or use a smaller model (phi3:mini)",
}


class Finding(NamedTuple):
    """Whether a topic is well, what was found, and what to do, "" where there is nothing to do."""

    ok: bool
    found: str
    do: str = ""


def service(host: Host) -> Finding:
    """Look whether Ollama's service runs, and whether the process that computes has died."""
    unit = host.unit
    state, serves = unit.text("active"), host.wanted.serves
    if unit.text("load") == "not-found":
        if serves:
            return Finding(False, "ollama.service is not installed", DEPLOY)
        return Finding(True, "not installed, and not meant to be")
    if not serves:
        return Finding(False, f"ollama.service is {state}, but this host is not meant to serve", DEPLOY)
    result, status, restarts = unit.text("result"), unit.count("exit_status"), unit.count("restarts")
    if result == "oom-kill":
        return Finding(False, f"{state}; it was killed because memory ran out", LESS_MEMORY)
    if state == "active":
        if unit.text("enabled") != "enabled":
            return Finding(False, "active, but it does not start at boot", "sudo systemctl enable ollama")
        return _computing(host, f"active, {restarts} restarts since it was started by hand or at boot")
    if state == "activating":
        return Finding(
            False,
            f"it starts again and again ({restarts} times; {result}, status {status})",
            "read the journal below; if the configuration or the binary is at fault, correct the inventory and "
            + DEPLOY,
        )
    if state == "failed":
        return Finding(
            False,
            f"failed ({result}, exit status {status})",
            "read the journal below, then: sudo systemctl restart ollama",
        )
    return Finding(False, f"{state}: it was stopped", "sudo systemctl start ollama")


def _computing(host: Host, found: str) -> Finding:
    """Look whether the runner, the process that computes, has died under the server, which lives on."""
    if host.journal.is_none("death"):
        return Finding(True, found)
    death = host.journal.mapping("death")
    line = death.text("line")
    if death.flag("killed"):
        return Finding(
            False, f"{found}, but its runner was killed, perhaps because of too little memory:\n{line}", LESS_MEMORY
        )
    return Finding(
        False,
        f"{found}, but its runner has died:\n{line}",
        "read the journal before that line; if it came with a new ollama_version, go back to the previous one, and "
        + DEPLOY,
    )


def journal(host: Host) -> Finding:
    """Show the end of Ollama's journal."""
    return Finding(True, "\n".join(host.journal.texts("lines")) or "no lines")


def version(host: Host) -> Finding:
    """Compare what is installed, what runs and what is wanted."""
    found, wanted = host.installed, host.wanted.version
    if not host.wanted.serves:
        return Finding(not found, f"{found} is installed" if found else "none is installed", DEPLOY if found else "")
    if not found:
        return Finding(False, f"none is installed, {wanted} is wanted", DEPLOY)
    if found != wanted:
        return Finding(False, f"{found} is installed, {wanted} is wanted", DEPLOY)
    try:
        running = host.info.text("version")
    except UnseenError:
        return Finding(True, f"{found} is installed")
    if running != found:
        return Finding(False, f"{found} is installed, but {running} runs", "sudo systemctl restart ollama")
    return Finding(True, f"{found} is installed and runs")


def memory(host: Host) -> Finding:
    """Show the memory, and on a server the sum that must fit."""
    there = host.memory
    found = f"{human_bytes(there.count('available'))} of {human_bytes(there.count('total'))} are available"
    if not host.unit.is_none("memory"):
        found += f", Ollama holds {human_bytes(host.unit.count('memory'))}"
    if not host.wanted.serves:
        return Finding(True, found)
    checks = [host.capacity(name) for name in ("memory_total", "memory_available")]
    for check in checks:
        if not check.flag("ok"):
            return Finding(
                False,
                f"{found}; {check.text('message')}",
                "free memory on the host (ps aux --sort=-rss | head), lower ollama_context_length or "
                "ollama_prompt_cache, or set ollama_models to a smaller model (phi3:mini needs 4 GB), and " + DEPLOY,
            )
    # The sum that must fit, part by part.
    return Finding(True, f"{found}; {checks[0].text('message')}")


def listening(host: Host) -> Finding:
    """Look who listens at Ollama's port, and on which addresses."""
    port = host.wanted.port
    listeners = host.listeners(port)
    if not listeners:
        nothing = f"nothing listens on port {port}"
        return Finding(False, nothing, "see service") if host.wanted.serves else Finding(True, nothing)
    found = ", ".join(sorted({f"{listener.process} on {listener.address}, port {port}" for listener in listeners}))
    if not host.wanted.serves:
        return Finding(False, f"{found}, but this host is not meant to serve", DEPLOY)
    strangers = sorted({listener.process for listener in listeners if not listener.process.startswith("ollama")})
    if strangers:
        return Finding(
            False, found, f"stop {', '.join(strangers)}, which holds the port, then: sudo systemctl restart ollama"
        )
    if not all(listener.loopback for listener in listeners):
        return Finding(False, f"{found}: more than loopback", DEPLOY)
    return Finding(True, found)


def gateway(host: Host) -> Finding:
    """Look at the gateway, through which others reach the host's server and the Gizzi API."""
    unit, wanted = host.gateway_unit, host.wanted.gateway
    state, installed = unit.text("active"), unit.text("load") != "not-found"
    if not wanted:
        return Finding(
            not installed, f"{state}, and none is wanted" if installed else "none", DEPLOY if installed else ""
        )
    if not installed:
        return Finding(False, "gizzi-gateway.service is not installed", DEPLOY)
    if state != "active":
        return Finding(
            False,
            f"gizzi-gateway.service is {state} ({unit.text('result')})",
            "read its journal (journalctl -u gizzi-gateway), then: sudo systemctl restart gizzi-gateway",
        )
    problem = gateways.listening_problem(host)
    if problem:
        return Finding(False, problem, "stop what else holds the port, then: sudo systemctl restart gizzi-gateway")
    problem = gateways.certificate_problem(host)
    return Finding(not problem, problem or f"{state}, {gateways.certificate(host).reason}", DEPLOY if problem else "")


def firewall(host: Host) -> Finding:
    """Look at the guards of the gateway's ports."""
    wanted = host.wanted.gateway
    problem = gateways.guard_problem(host, *wanted)
    if problem:
        return Finding(False, problem, DEPLOY)
    if not wanted:
        return Finding(True, "no rules, and none needed: nothing is open to other hosts")
    return Finding(True, f"port {' and '.join(map(str, wanted.values()))} is open only to the fleet")


def models(host: Host) -> Finding:
    """Look at the store: its disk, what is unfinished, and the models."""
    found = f"{human_bytes(host.disk.count('free'))} are free for {host.disk.text('path')}"
    if not host.wanted.serves:
        return Finding(True, found)
    partial = host.partial_downloads
    if partial:
        found += f", {partial} parts of unfinished downloads"
    disk = host.capacity("disk")
    if not disk.flag("ok"):
        return Finding(
            False,
            f"{found}; {disk.text('message')}",
            "remove models that nobody needs (ollama list, ollama rm), enlarge the disk, or set ollama_models_dir, and "
            + DEPLOY,
        )
    try:
        digests = host.digests
    except UnseenError as error:
        return Finding(False, f"{found}; its models could not be seen: {error}", "see service first")
    mirrored = gateways.mirror(host) if host.wanted.mirrors else Verdict(True, "")
    if mirrored.ok is False:
        found += f"; {mirrored.reason}"
    names = {full_name(str(model["name"])): model for model in host.wanted.models}
    missing = {name: model for name, model in names.items() if name not in digests}
    if missing:
        # A derived model is at no registry.
        pulls = [f"ollama pull {name}" for name, model in missing.items() if not model.get("from")]
        remedy = f"{DEPLOY}, or: {'; '.join(pulls)}" if pulls else DEPLOY
        return Finding(False, f"{found}; {', '.join(missing)} not there", remedy)
    if mirrored.ok is False:
        return Finding(False, found, REMEDIES["mirror"])
    there = ", ".join(f"{name} at {digest[:12]}" for name, digest in sorted(digests.items()))
    return Finding(True, f"{found}; {there}")


def loaded(host: Host) -> Finding:
    """Look what is loaded: listed, and a process of it is alive."""
    if not host.wanted.serves:
        return Finding(True, "nothing is to be loaded here")
    listed = host.loaded
    dead = [name for name, alive in listed.items() if not alive]
    if dead:
        return Finding(
            False,
            f"{', '.join(dead)} is listed as loaded, but no runner of it is alive",
            "see service and journal for what ended it; the next question, which may fail, loads it again",
        )
    return Finding(True, ", ".join(sorted(listed)) or "none at the moment: the next question loads one")


def reachability(host: Host) -> Finding:
    """Look whether the host's servers answer it."""
    if not host.wanted.validator:
        return Finding(True, "not a validator: it asks nobody")
    url, health = host.wanted.urls[0], host.health
    if not health.flag("healthy"):
        failed = health.text("failed_layer")
        layer = host.layer(failed)
        remedy = REMEDIES.get(layer.text("status")) or REMEDIES.get(failed, DEPLOY)
        return Finding(False, f"{url}: {layer.text('message')}", remedy)
    unreached = host.unreached
    if unreached:
        found = ", ".join(f"{other}: {why}" for other, why in unreached)
        return Finding(False, f"{url} answers a prompt, but {found}", REMEDIES["reachable"])
    return Finding(
        True, f"{url} answers a prompt" if host.wanted.models else f"{url} answers, no model is wanted of it"
    )


def client(host: Host) -> Finding:
    """Look at the command gizzi and its settings."""
    if not host.wanted.client:
        return Finding(True, "not meant to have the command gizzi")
    if host.client_left_out:
        return Finding(True, f"without the command gizzi: {host.client_left_out}")
    problem = host.client_problem
    return Finding(not problem, problem or f"gizzi asks {', then '.join(host.wanted.urls)}", DEPLOY if problem else "")


def network(host: Host) -> Finding:
    """Look at the Gizzi API on its host, and at what it says of the network everywhere."""
    if not host.wanted.api:
        return Finding(True, "the fleet is not meant to have the Gizzi API")
    if host.wanted.gizzi:
        problem = _api(host)
        if problem:
            return problem
    url, fleet = host.wanted.network_url, host.wanted.fleet
    if not host.wanted.validator:
        return Finding(True, "not a validator: it asks nobody")
    try:
        unknown = host.unknown_validators
    except UnseenError as error:
        return Finding(
            False,
            f"{url} does not answer: {error}",
            "on the Gizzi host: see this topic there; if it is fine, is this host's address in gizzi_addresses, and "
            "does the cloud's security list let it through?",
        )
    if unknown:
        return Finding(
            False,
            "unknown are " + ", ".join(f"{name}: {why}" for name, why in unknown),
            "on the Gizzi host: is Prometheus up, and are these nodes among its targets, with the label validator?",
        )
    return Finding(True, f"{url} knows the state of {len(fleet)} validators")


def _api(host: Host) -> Finding | None:
    """Return what is wrong with the Gizzi API on its own host, None where nothing is."""
    unit = host.api_unit
    if unit.text("load") == "not-found":
        return Finding(False, "gizzi-api.service is not installed", DEPLOY)
    if unit.text("active") != "active":
        return Finding(
            False,
            f"gizzi-api.service is {unit.text('active')} ({unit.text('result')})",
            "read its journal (journalctl -u gizzi-api), then: sudo systemctl restart gizzi-api",
        )
    return None


TOPICS: dict[str, Callable[[Host], Finding]] = {
    "service": service,
    "version": version,
    "memory": memory,
    "listening": listening,
    "gateway": gateway,
    "firewall": firewall,
    "model store": models,
    "loaded": loaded,
    "reachability": reachability,
    "client": client,
    "network status": network,
    "journal": journal,
}


def diagnose(host: Host) -> list[dict[str, Any]]:
    """Return a row of each topic: topic, host, ok, found and do. ok is never true of what could not be seen."""
    findings = {"login": _login(host)}
    if not host.blind:
        findings.update({topic: _judged(host, look) for topic, look in TOPICS.items()})
    return [
        {"topic": topic, "host": host.wanted.host, "ok": finding.ok, "found": cut(finding.found), "do": cut(finding.do)}
        for topic, finding in findings.items()
    ]


def _login(host: Host) -> Finding:
    if not host.blind:
        return Finding(True, "reached, and sudo works")
    if host.unreachable:
        return Finding(
            False,
            f"cannot be reached: {host.blind}",
            "is it up? Are ansible_host, ansible_user and the key right in the inventory, and is port 22 open to you?",
        )
    return Finding(
        False,
        f"reached, but nothing can be run as root: {host.blind}",
        "let the login user use sudo without a password, or add --ask-become-pass",
    )


def _judged(host: Host, look: Callable[[Host], Finding]) -> Finding:
    try:
        return look(host)
    except GizziError as error:
        return Finding(False, f"could not be seen: {error}", "see the other findings of this host first")
