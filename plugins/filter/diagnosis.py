# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes
from ansible_collections.etrid.gizzi.plugins.plugin_utils._observed import Host, UnseenError, full_name

DOCUMENTATION = r"""
name: diagnosis
short_description: Say what is wrong with a host's Ollama and what to do about it
version_added: 1.0.0
author: Ëtrid operations (@etrid)
description:
  - Used by the playbook C(etrid.gizzi.diagnose).
positional: wanted
options:
  _input:
    description: What C(playbooks/tasks/observe.yml) saw of the host.
    type: dict
    required: true
  wanted:
    description: What should be true of the host.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Judge the host
  ansible.builtin.set_fact:
    gizzi_findings: "{{ gizzi_seen | etrid.gizzi.diagnosis(gizzi_wanted) }}"
"""

RETURN = r"""
_value:
  description:
    - Of each topic C(topic), C(host), C(ok), C(found), and C(do), which is empty where there is nothing to do.
    - RV(_value[].ok) is never true of what could not be seen.
  type: list
  elements: dict
"""

DEPLOY = "run the playbook etrid.gizzi.site"
LESS_MEMORY = (
    "lower ollama_prompt_cache or ollama_context_length, use a smaller model (phi3:mini needs 4 GB), or raise "
    "ollama_memory_max, and " + DEPLOY
)
# How many lines of the journal are shown; more are looked at.
SHOWN = 15


class Finding(t.NamedTuple):
    ok: bool
    found: str
    do: str = ""


def service(host: Host) -> Finding:
    unit = host.unit
    state, result = unit.get("ActiveState", "unknown"), unit.get("Result", "")
    if unit.get("LoadState") == "not-found":
        if host.serves:
            return Finding(False, "ollama.service is not installed", DEPLOY)
        return Finding(True, "not installed, and not meant to be")
    if not host.serves:
        return Finding(False, f"ollama.service is {state}, but this host is not meant to serve", DEPLOY)
    if result == "oom-kill":
        return Finding(
            False,
            f"{state}; it was killed for want of memory",
            LESS_MEMORY,
        )
    if state == "active":
        restarts = int(unit.get("NRestarts") or 0)
        found = f"active, {restarts} restarts since it was started by hand or at boot"
        if unit.get("UnitFileState") != "enabled":
            return Finding(False, "active, but it does not start at boot", "sudo systemctl enable ollama")
        return _computing(host, found)
    if state == "activating":
        return Finding(
            False,
            f"it starts again and again ({unit.get('NRestarts')} times; {result}, status {unit.get('ExecMainStatus')})",
            "read the journal below; if the configuration or the binary is at fault, correct the inventory and "
            + DEPLOY,
        )
    if state == "failed":
        return Finding(
            False,
            f"failed ({result}, exit status {unit.get('ExecMainStatus')})",
            "read the journal below, then: sudo systemctl restart ollama",
        )
    return Finding(False, f"{state}: it was stopped", "sudo systemctl start ollama")


def _computing(host: Host, found: str) -> Finding:
    """Whether the runner, the process that computes, has died under the server, which lives on."""
    death = host.last_death
    if not death:
        return Finding(True, found)
    if death.killed:
        return Finding(False, f"{found}, but its runner was killed, as for want of memory:\n{death.line}", LESS_MEMORY)
    return Finding(
        False,
        f"{found}, but its runner has died:\n{death.line}",
        "read the journal before that line; if it came with a new ollama_version, go back to the previous one, and "
        + DEPLOY,
    )


def journal(host: Host) -> Finding:
    return Finding(True, "\n".join(host.journal[-SHOWN:]) or "no lines")


def version(host: Host) -> Finding:
    found = host.installed
    if not host.serves:
        return Finding(not found, f"{found} is installed" if found else "none is installed", DEPLOY if found else "")
    if not found:
        return Finding(False, f"none is installed, {host.version} is wanted", DEPLOY)
    if found != host.version:
        return Finding(False, f"{found} is installed, {host.version} is wanted", DEPLOY)
    try:
        running = str(host.info["version"])
    except UnseenError:
        return Finding(True, f"{found} is installed")
    if running != found:
        return Finding(False, f"{found} is installed, but {running} runs", "sudo systemctl restart ollama")
    return Finding(True, f"{found} is installed and runs")


def memory(host: Host) -> Finding:
    available, total = host.measured("memory_available"), host.measured("memory_total")
    found = f"{human_bytes(available)} of {human_bytes(total)} are available"
    used = host.unit.get("MemoryCurrent", "")
    if used.isdigit():
        found += f", Ollama holds {human_bytes(int(used))}"
    if host.serves:
        checks = [host.capacity(name) for name in ("memory_total", "memory_available")]
        for check in checks:
            if not check["ok"]:
                return Finding(
                    False,
                    f"{found}; {check['message']}",
                    "free memory on the host (ps aux --sort=-rss | head), lower ollama_context_length or "
                    "ollama_prompt_cache, or set ollama_models to a smaller model (phi3:mini needs 4 GB), and "
                    + DEPLOY,
                )
        # The sum that must fit, part by part.
        found += f"; {checks[0]['message']}"
    return Finding(True, found)


def listening(host: Host) -> Finding:
    listeners = host.listeners
    if not listeners:
        if host.serves:
            return Finding(False, f"nothing listens on port {host.port}", "see service")
        return Finding(True, f"nothing listens on port {host.port}")
    found = ", ".join(sorted({f"{listener.process} on {listener.address}:{host.port}" for listener in listeners}))
    if not host.serves:
        return Finding(False, f"{found}, but this host is not meant to serve", DEPLOY)
    strangers = sorted({listener.process for listener in listeners if not listener.process.startswith("ollama")})
    if strangers:
        return Finding(
            False, found, f"stop {', '.join(strangers)}, which holds the port, then: sudo systemctl restart ollama"
        )
    if not host.shared and not all(listener.loopback for listener in listeners):
        return Finding(False, f"{found}: more than loopback", DEPLOY)
    if host.shared and not any(listener.wide for listener in listeners):
        return Finding(False, f"{found}: the other validators cannot connect", DEPLOY)
    return Finding(True, found)


def firewall(host: Host) -> Finding:
    problem = host.guard
    if problem:
        return Finding(False, problem, DEPLOY)
    if host.shared:
        return Finding(
            True, f"port {host.port} is open to {len(host.sources)} addresses of the fleet and to nobody else"
        )
    return Finding(True, "no rules, and none needed: nothing is to be reached from outside")


REMEDIES = {
    "reachable": "on the server: see its service, listening and firewall; if these are well, is this host's address in "
    "gizzi_addresses, and does the cloud's security list let it through?",
    "version": "another program answers at that address: see who listens there",
    "present": f"{DEPLOY}, or on the server: ollama pull the model",
    "loads": "on the server: see memory; a smaller model (phi3:mini) loads where a large one does not",
    "answers": "on the server: see memory and its journal, then: sudo systemctl restart ollama",
    "speed": "on the server: see memory, and what else uses its processors; or use a smaller model (phi3:mini)",
}


def reachability(host: Host) -> Finding:
    if not host.validator:
        return Finding(True, "not a validator: it asks nobody")
    health = host.health
    if not health["healthy"]:
        failed = health["failed_layer"]
        return Finding(False, f"{host.url}: {host.layer(failed)['message']}", REMEDIES.get(failed, DEPLOY))
    unreached = host.unreached
    if unreached:
        found = ", ".join(f"{url}: {why}" for url, why in unreached)
        return Finding(False, f"{host.url} answers a prompt, but {found}", REMEDIES["reachable"])
    return Finding(True, f"{host.url} answers a prompt")


def client(host: Host) -> Finding:
    if not host.client:
        return Finding(True, "not meant to have the command gizzi")
    problem = host.client_problem
    return Finding(not problem, problem or f"gizzi asks {', then '.join(host.urls)}", DEPLOY if problem else "")


def models(host: Host) -> Finding:
    found = f"{human_bytes(host.measured('disk_free'))} are free for {host.measured('models_dir')}"
    partial = host.partial_downloads
    if partial:
        found += f", {len(partial)} parts of unfinished downloads"
    if not host.serves:
        return Finding(True, found)
    disk = host.capacity("disk")
    if not disk["ok"]:
        return Finding(
            False,
            f"{found}; {disk['message']}",
            "remove models that nobody needs (ollama list, ollama rm), enlarge the disk, or set ollama_models_dir, and "
            + DEPLOY,
        )
    try:
        digests = host.digests
    except UnseenError as error:
        return Finding(False, f"{found}; its models could not be seen: {error}", "see service first")
    missing = {name: model for model in host.models if (name := full_name(model["name"])) not in digests}
    if missing:
        # One that is made from another is at no registry.
        pulls = [f"ollama pull {name}" for name, model in missing.items() if not model.get("from")]
        return Finding(
            False,
            f"{found}; {', '.join(missing)} not there",
            f"{DEPLOY}, or: {'; '.join(pulls)}" if pulls else DEPLOY,
        )
    return Finding(
        True, f"{found}; " + ", ".join(f"{name} at {digest[:12]}" for name, digest in sorted(digests.items()))
    )


def loaded(host: Host) -> Finding:
    """What is loaded: listed, and a process of it is alive."""
    if not host.serves:
        return Finding(True, "nothing is to be loaded here")
    listed = host.listed
    dead = [name for name, alive in listed.items() if not alive]
    if dead:
        return Finding(
            False,
            f"{', '.join(dead)} is listed as loaded, but no runner of it is alive",
            "see service and journal for what ended it; the next question, which may fail, loads it anew",
        )
    return Finding(True, ", ".join(sorted(listed)) or "none at the moment: the next question loads one")


def network(host: Host) -> Finding:
    if host.gizzi:
        state = host.api_unit.get("ActiveState", "unknown")
        if host.api_unit.get("LoadState") == "not-found":
            return Finding(False, "gizzi-api.service is not installed", DEPLOY)
        if state != "active":
            return Finding(
                False,
                f"gizzi-api.service is {state} ({host.api_unit.get('Result')})",
                "read its journal (journalctl -u gizzi-api), then: sudo systemctl restart gizzi-api",
            )
        if host.api_guard:
            return Finding(False, host.api_guard, DEPLOY)
    if not host.validator:
        return Finding(True, "not a validator: it asks nobody")
    try:
        unknown = host.unknown_validators
    except UnseenError as error:
        return Finding(
            False,
            f"{host.network_url} does not answer: {error}",
            "on the Gizzi host: see this topic there; if it is well, is this host's address in gizzi_addresses, and "
            "does the cloud's security list let it through?",
        )
    if unknown:
        return Finding(
            False,
            "unknown are " + ", ".join(f"{name}: {why}" for name, why in unknown),
            "on the Gizzi host: is Prometheus up, and are these nodes among its targets, with the label validator?",
        )
    return Finding(True, f"{host.network_url} knows the state of {len(host.fleet)} validators")


TOPICS: dict[str, t.Callable[[Host], Finding]] = {
    "service": service,
    "version": version,
    "memory": memory,
    "listening": listening,
    "firewall": firewall,
    "model store": models,
    "loaded": loaded,
    "reachability": reachability,
    "client": client,
    "network status": network,
    "journal": journal,
}


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


def _judge(host: Host, look: t.Callable[[Host], Finding]) -> Finding:
    try:
        return look(host)
    except UnseenError as error:
        return Finding(False, f"could not be seen: {error}", "see the other findings of this host first")


def diagnosis(seen: t.Mapping[str, t.Any], wanted: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    host = Host(seen, wanted)
    findings = {"login": _login(host)}
    if not host.blind:
        findings |= {topic: _judge(host, look) for topic, look in TOPICS.items()}
    return [{"topic": topic, "host": str(wanted["host"]), **finding._asdict()} for topic, finding in findings.items()]


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"diagnosis": diagnosis}
