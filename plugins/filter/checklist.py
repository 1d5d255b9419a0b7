# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes
from ansible_collections.etrid.gizzi.plugins.plugin_utils._observed import Host, UnseenError, full_name

DOCUMENTATION = r"""
name: checklist
short_description: Judge what was seen of a host by a checklist
version_added: 1.0.0
author: Ëtrid operations (@etrid)
description:
  - Used by the playbook C(etrid.gizzi.verify).
positional: items, wanted
options:
  _input:
    description: What C(playbooks/tasks/observe.yml) saw of the host.
    type: dict
    required: true
  items:
    description:
      - The items of the checklist, in order.
      - Each has C(check), the name of a check; C(item), what is checked, in words;
        C(hosts), one of V(fleet), V(validators), V(servers), V(shared), V(others), V(clients), V(gizzi);
        and may have C(topology), where the item applies to one topology alone.
    type: list
    elements: dict
    required: true
  wanted:
    description: What should be true of the host.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Judge the host
  ansible.builtin.set_fact:
    gizzi_results: "{{ gizzi_seen | etrid.gizzi.checklist(gizzi_checklist, gizzi_wanted) }}"
"""

RETURN = r"""
_value:
  description:
    - Of each item that concerns the host, C(item), C(check), C(host), C(status) (V(PASS), V(FAIL) or V(SKIP)) and
      C(reason).
    - What could not be seen is never V(PASS).
  type: list
  elements: dict
"""

MAXIMUM_EXPOSURE = 2.0

# None is SKIP: nobody asked for it.
Verdict = tuple[t.Optional[bool], str]


def login(host: Host) -> Verdict:
    return True, "logged in and became root"


def memory(host: Host) -> Verdict:
    check = host.capacity("memory_total")
    return bool(check["ok"]), str(check["message"])


def installed(host: Host) -> Verdict:
    found = host.installed
    if not found:
        return False, "Ollama is not installed"
    if found != host.version:
        return False, f"version {found} is installed, {host.version} is wanted"
    try:
        running = str(host.info["version"])
    except UnseenError as error:
        return False, f"version {found} is installed, what runs could not be seen: {error}"
    if running != host.version:
        return False, f"version {found} is installed, but {running} runs"
    return True, f"version {found}"


def service(host: Host) -> Verdict:
    state, enabled = host.unit.get("ActiveState", "unknown"), host.unit.get("UnitFileState", "") or "not installed"
    return (state, enabled) == ("active", "enabled"), f"{state}, {enabled}"


def models(host: Host) -> Verdict:
    digests = host.digests
    found, problems = [], []
    for model in host.models:
        name = full_name(model["name"])
        digest = digests.get(name, "")
        expected = str(model.get("digest", "")).removeprefix("sha256:")
        if not digest:
            problems.append(f"{name} is not there")
        elif expected and digest != expected:
            problems.append(f"{name} is at {digest[:12]}, {expected[:12]} is wanted")
        else:
            found.append(f"{name} at {digest[:12]}")
    return not problems, ", ".join(problems or found)


def listening(host: Host) -> Verdict:
    addresses = sorted({listener.address for listener in host.listeners})
    found = f"listens on {', '.join(addresses)}" if addresses else "nothing listens"
    if not host.serves:
        return not addresses, found
    if host.shared:
        return any(listener.wide for listener in host.listeners), found
    return bool(addresses) and all(listener.loopback for listener in host.listeners), found


def guard(host: Host) -> Verdict:
    problem = host.guard
    return not problem, problem or f"open to {len(host.sources)} addresses of the fleet"


def isolated(host: Host) -> Verdict:
    if not host.neighbour:
        return True, "no other validator serves itself alone"
    answered = [address for address, answered in host.knocks if answered]
    if answered:
        return False, f"port {host.port} of {', '.join(answered)} answers"
    return True, f"port {host.port} of {', '.join(address for address, _answered in host.knocks)} does not answer"


def reach(host: Host) -> Verdict:
    for name in ("reachable", "version"):
        layer = host.layer(name)
        if layer["status"] != "pass":
            return False, str(layer["message"])
    unreached = host.unreached
    if unreached:
        return False, ", ".join(f"{url}: {why}" for url, why in unreached)
    return True, f"Ollama {host.health['version']} at {', then '.join(host.urls)}"


def answers(host: Host) -> Verdict:
    if not host.health["healthy"]:
        failed = host.health["failed_layer"]
        return False, str(host.layer(failed)["message"]) if failed else "the probe did not end well"
    seconds = sum(float(layer["seconds"] or 0) for layer in host.health["layers"])
    return True, f"{full_name(host.models[0]['name'])} answered in {seconds:.1f} s"


def absent(host: Host) -> Verdict:
    left = []
    if host.installed:
        left.append(f"version {host.installed} is installed")
    if host.unit.get("LoadState") != "not-found":
        left.append(f"ollama.service is {host.unit.get('ActiveState', 'there')}")
    if host.guard:
        left.append("rules for its port are in the firewall")
    return not left, ", ".join(left) or "nothing of it is there"


def exposure(host: Host) -> Verdict:
    return (
        host.exposure <= MAXIMUM_EXPOSURE,
        f"exposure level {host.exposure} of systemd-analyze, at most {MAXIMUM_EXPOSURE}",
    )


def environment(host: Host) -> Verdict:
    """Whether the role alone decides what the server and the process that computes get as their environment."""
    found = host.environment
    sources = {str(variable["name"]): str(variable["source"]) for variable in found["foreign"]}
    # What the unit takes out does no harm, wherever it is still set.
    coming = sorted(set(sources) - host.unset)
    # What the server was started with, and the next start would leave out.
    running = sorted(set(found["unexpected"] or []) - set(coming))
    problems = [str(problem) for problem in found["problems"]]
    if coming:
        problems.append(
            ", ".join(f"{name} is set by {sources[name]}" for name in coming)
            + ": run the playbook etrid.gizzi.site, which takes it out of the server's environment; what the server "
            "should have belongs into ollama_environment"
        )
    if running:
        problems.append(
            f"the server runs with {', '.join(running)}, which its unit does not give it any more: "
            "sudo systemctl restart ollama"
        )
    if not problems and found["unexpected"] is None:
        raise UnseenError(str(found["unseen"]))
    return not problems, "; ".join(problems) or "nothing but what the role has set"


def secrets(host: Host) -> Verdict:
    """Whether Ollama, which logs its proxies at each start, is given one with a password."""
    found = host.environment
    if found["secrets"] is None:
        raise UnseenError(str(found["unseen"]))
    if not found["secrets"]:
        return True, "no proxy with a password"
    return False, (
        f"{' and '.join(found['secrets'])} holds a password, and Ollama writes it into its journal at each start: let "
        "the proxy know the host by its address, take the password out of ollama_environment, run the playbook "
        "etrid.gizzi.site, then: sudo journalctl --namespace=ollama --rotate --vacuum-time=1s"
    )


def blobs(host: Host) -> Verdict:
    """Whether every blob of every model was hashed and is what its name says."""
    found = host.blobs
    if found is None:
        return (
            None,
            "nobody asked for it: -e gizzi_verify_blobs=true reads every model and compares it with its checksums",
        )
    problems = [str(blob["message"]) for blob in found if blob["status"] != "ok"]
    looked_at = {full_name(name) for blob in found for name in blob["models"]}
    problems += [
        f"{name} was not looked at" for model in host.models if (name := full_name(model["name"])) not in looked_at
    ]
    if any(blob["status"] in ("damaged", "missing") for blob in found):
        problems.append(
            "to pull them anew, run the playbook etrid.gizzi.model_update with -e model_update_verify_blobs=true"
        )
    size = human_bytes(sum(int(blob["size"]) for blob in found))
    return not problems, "; ".join(problems) or f"{len(found)} blobs, {size}"


def client(host: Host) -> Verdict:
    problem = host.client_problem
    return not problem, problem or f"gizzi asks {', then '.join(host.urls)}"


def api(host: Host) -> Verdict:
    state, enabled = host.api_unit.get("ActiveState", "unknown"), host.api_unit.get("UnitFileState", "")
    return (state, enabled) == ("active", "enabled"), f"{state}, {enabled or 'not installed'}"


def api_guard(host: Host) -> Verdict:
    problem = host.api_guard
    return not problem, problem or "open to the fleet"


def network(host: Host) -> Verdict:
    unknown = host.unknown_validators
    if unknown:
        return False, f"{host.network_url} says unknown of " + ", ".join(f"{name}: {why}" for name, why in unknown)
    return True, f"{host.network_url} knows the state of {len(host.fleet)} validators"


CHECKS: dict[str, t.Callable[[Host], Verdict]] = {
    check.__name__: check
    for check in (
        login,
        memory,
        installed,
        service,
        models,
        listening,
        guard,
        isolated,
        reach,
        answers,
        absent,
        exposure,
        environment,
        secrets,
        blobs,
        client,
        api,
        api_guard,
        network,
    )
}


def _concerns(host: Host, group: str) -> bool:
    groups = {
        "fleet": True,
        "validators": host.validator,
        "servers": host.serves,
        "shared": host.shared,
        "clients": host.client,
        "others": not host.serves,
        "gizzi": host.gizzi,
    }
    if group not in groups:
        raise AnsibleFilterError(f"checklist: 'hosts' is '{group}', it must be one of {', '.join(groups)}")
    return groups[group]


def _judge(host: Host, name: str) -> tuple[str, str]:
    if name not in CHECKS:
        raise AnsibleFilterError(f"checklist: there is no check '{name}', only {', '.join(sorted(CHECKS))}")
    if host.blind:
        return "FAIL", host.blind if name == "login" else "the host could not be looked at"
    try:
        ok, reason = CHECKS[name](host)
    except UnseenError as error:
        return "FAIL", f"could not be seen: {error}"
    return ("SKIP" if ok is None else "PASS" if ok else "FAIL"), reason


def checklist(
    seen: t.Mapping[str, t.Any], items: t.Sequence[t.Mapping[str, str]], wanted: t.Mapping[str, t.Any]
) -> list[dict[str, str]]:
    host = Host(seen, wanted)
    results = []
    for item in items:
        if not _concerns(host, item["hosts"]):
            continue
        if item.get("topology", host.topology) != host.topology:
            status, reason = "SKIP", f"the topology is {host.topology}"
        else:
            status, reason = _judge(host, item["check"])
        results.append(
            {
                "item": str(item["item"]),
                "check": str(item["check"]),
                "host": str(wanted["host"]),
                "status": status,
                "reason": reason,
            }
        )
    return results


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"checklist": checklist}
