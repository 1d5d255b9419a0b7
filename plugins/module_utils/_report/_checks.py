# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The deployment checklist, for both options: what must be true of a host, and whether it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._report import _gateway_checks as gateways
from ansible_collections.etrid.gizzi.plugins.module_utils._report._given import UnseenError, cut
from ansible_collections.etrid.gizzi.plugins.module_utils._report._observed import full_name
from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import API, MIRROR, OLLAMA
from ansible_collections.etrid.gizzi.plugins.module_utils._report._verdict import Verdict, runs
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.etrid.gizzi.plugins.module_utils._report._observed import Host
    from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import Wanted

MAXIMUM_EXPOSURE = 2.0


def login(_host: Host) -> Verdict:
    """Judge a host that could be looked at at all."""
    return Verdict(True, "logged in and became root")


def memory(host: Host) -> Verdict:
    """Judge whether the host has the memory that its models need."""
    check = host.capacity("memory_total")
    return Verdict(check.flag("ok"), check.text("message"))


def installed(host: Host) -> Verdict:
    """Judge whether the wanted version is installed and runs."""
    found, wanted = host.installed, host.wanted.version
    if not found:
        return Verdict(False, "Ollama is not installed")
    if found != wanted:
        return Verdict(False, f"version {found} is installed, {wanted} is wanted")
    try:
        running = host.info.text("version")
    except UnseenError as error:
        return Verdict(False, f"version {found} is installed, what runs could not be seen: {error}")
    if running != wanted:
        return Verdict(False, f"version {found} is installed, but {running} runs")
    return Verdict(True, f"version {found}")


def service(host: Host) -> Verdict:
    """Judge whether Ollama's service runs and starts at boot."""
    return runs(host.unit)


def models(host: Host) -> Verdict:
    """Judge whether each model is there, at the digest that is wanted, if one is."""
    digests = host.digests
    found, problems = [], []
    for model in host.wanted.models:
        name = full_name(str(model["name"]))
        digest = digests.get(name, "")
        expected = str(model.get("digest") or "").replace("sha256:", "", 1)
        if not digest:
            problems.append(f"{name} is not there")
        elif expected and digest != expected:
            problems.append(f"{name} is at {digest[:12]}, {expected[:12]} is wanted")
        else:
            found.append(f"{name} at {digest[:12]}")
    return Verdict(not problems, ", ".join(problems or found))


def listening(host: Host) -> Verdict:
    """Judge whether Ollama's port listens on loopback alone, and only on a server."""
    return _on_loopback(host, host.wanted.port, host.wanted.serves)


def _on_loopback(host: Host, port: int, wanted: bool) -> Verdict:
    listeners = host.listeners(port)
    addresses = sorted({listener.address for listener in listeners})
    found = f"listens on {', '.join(addresses)}" if addresses else "nothing listens"
    if not wanted:
        return Verdict(not addresses, found)
    return Verdict(bool(addresses) and all(listener.loopback for listener in listeners), found)


def isolated(host: Host) -> Verdict:
    """Judge by one neighbour: every host that serves itself alone is somebody's neighbour."""
    if not host.wanted.neighbour:
        return Verdict(True, "no other validator serves itself alone")
    knocks, port = host.knocks, host.wanted.port
    answered = [address for address, is_open in knocks if is_open]
    if answered:
        return Verdict(False, f"port {port} of {', '.join(answered)} answers")
    return Verdict(True, f"port {port} of {', '.join(address for address, _open in knocks)} does not answer")


def reach(host: Host) -> Verdict:
    """Judge whether each of the host's servers answers it."""
    for name in ("reachable", "version"):
        layer = host.layer(name)
        if layer.text("status") != "pass":
            return Verdict(False, layer.text("message"))
    unreached = host.unreached
    if unreached:
        return Verdict(False, ", ".join(f"{url}: {why}" for url, why in unreached))
    return Verdict(True, f"Ollama {host.health.text('version')} at {', then '.join(host.wanted.urls)}")


def answers(host: Host) -> Verdict:
    """Judge whether the host's server answered a question."""
    health, wanted = host.health, host.wanted.models
    if not wanted:
        return Verdict(None, "no model is wanted that could answer")
    if not health.flag("healthy"):
        failed = "" if health.is_none("failed_layer") else health.text("failed_layer")
        return Verdict(False, host.layer(failed).text("message") if failed else "the probe did not end well")
    seconds = sum(layer.number("seconds") for layer in health.rows("layers") if not layer.is_none("seconds"))
    return Verdict(True, f"{full_name(str(wanted[0]['name']))} answered in {seconds:.1f} s")


def absent(host: Host) -> Verdict:
    """Judge whether nothing of Ollama is left."""
    left = []
    if host.installed:
        left.append(f"version {host.installed} is installed")
    if host.unit.text("load") != "not-found":
        left.append(f"ollama.service is {host.unit.text('active')}")
    return Verdict(not left, ", ".join(left) or "nothing of it is there")


def exposure(host: Host) -> Verdict:
    """Judge how far systemd confines the service."""
    level = host.unit.number("exposure")
    return Verdict(level <= MAXIMUM_EXPOSURE, f"exposure level {level} of systemd-analyze, at most {MAXIMUM_EXPOSURE}")


def environment(host: Host) -> Verdict:
    """Judge whether the role alone decides what the server and the process that computes get as their environment."""
    found = host.environment
    sources = {variable.text("name"): variable.text("source") for variable in found.rows("foreign")}
    # What the unit takes out does no harm, wherever it is still set.
    coming = sorted(set(sources) - set(host.unit.texts("unset_environment")))
    problems = found.texts("problems")
    blind, running = None, []
    try:
        # What the server was started with, and the next start would leave out.
        running = sorted(set(found.mapping("process").texts("unexpected")) - set(coming))
    except UnseenError as error:
        blind = error
    if coming:
        problems.append(
            ", ".join(f"{name} is set by {sources[name]}" for name in coming)
            + ": run the playbook etrid.gizzi.site, which takes it out of the server's environment; what the server "
            "should have belongs in ollama_environment"
        )
    if running:
        problems.append(
            f"the server runs with {', '.join(running)}, which its unit does not give it any more: "
            "sudo systemctl restart ollama"
        )
    if blind and not problems:
        raise blind
    return Verdict(not problems, "; ".join(problems) or "nothing but what the role has set")


def secrets(host: Host) -> Verdict:
    """Judge whether Ollama, which logs its proxies at each start, is given one with a password."""
    names = host.environment.mapping("process").texts("secrets")
    if not names:
        return Verdict(True, "no proxy with a password")
    return Verdict(
        False,
        f"{' and '.join(names)} holds a password, and Ollama writes it into its journal at each start: let "
        "the proxy know the host by its address, take the password out of ollama_environment, run the playbook "
        "etrid.gizzi.site, then: sudo journalctl --namespace=ollama --rotate --vacuum-time=1s",
    )


def blobs(host: Host) -> Verdict:
    """Judge whether every blob of every model was hashed and is what its name says."""
    found = host.blobs
    if found is None:
        return Verdict(
            None,
            "nobody asked for it: -e gizzi_verify_blobs=true reads every model and compares it with its checksums",
        )
    status = [blob.text("status") for blob in found]
    problems = [blob.text("message") for blob, state in zip(found, status) if state != "ok"]
    looked_at = {full_name(name) for blob in found for name in blob.texts("models")}
    names = [full_name(str(model["name"])) for model in host.wanted.models]
    problems += [f"{name} was not looked at" for name in names if name not in looked_at]
    if {"damaged", "missing"} & set(status):
        problems.append(
            "to pull them again, run the playbook etrid.gizzi.model_update with -e model_update_verify_blobs=true"
        )
    size = human_bytes(sum(blob.count("size") for blob in found))
    return Verdict(not problems, "; ".join(problems) or f"{len(found)} blobs, {size}")


def client(host: Host) -> Verdict:
    """Judge whether the command gizzi asks the right servers."""
    if host.client_left_out:
        return Verdict(None, host.client_left_out)
    problem = host.client_problem
    return Verdict(not problem, problem or f"gizzi asks {', then '.join(host.wanted.urls)}")


def api(host: Host) -> Verdict:
    """Judge whether the Gizzi API's service runs and starts at boot."""
    return runs(host.api_unit)


def api_listening(host: Host) -> Verdict:
    """Judge whether the Gizzi API's port listens on loopback alone."""
    return _on_loopback(host, host.wanted.api_port, True)


def network(host: Host) -> Verdict:
    """Judge whether the host can read the network's state, and each validator's is known."""
    unknown, url = host.unknown_validators, host.wanted.network_url
    if unknown:
        return Verdict(False, f"{url} says unknown of " + ", ".join(f"{name}: {why}" for name, why in unknown))
    return Verdict(True, f"{url} knows the state of {len(host.wanted.fleet)} validators")


class Item(NamedTuple):
    """An item of the checklist: its text, whom it concerns, how it is judged, and the topology that alone has it."""

    text: str
    concerns: Callable[[Wanted], bool]
    judge: Callable[[Host], Verdict]
    topology: str = ""


def _fleet(_wanted: Wanted) -> bool:
    return True


def _validators(wanted: Wanted) -> bool:
    return wanted.validator


def _readers(wanted: Wanted) -> bool:
    return wanted.validator and wanted.api


def _servers(wanted: Wanted) -> bool:
    return wanted.serves


def _others(wanted: Wanted) -> bool:
    return not wanted.serves


def _clients(wanted: Wanted) -> bool:
    return wanted.client


def _gizzi(wanted: Wanted) -> bool:
    return wanted.gizzi


def _gateway(wanted: Wanted) -> bool:
    return bool(wanted.gateway)


def _no_gateway(wanted: Wanted) -> bool:
    return not wanted.gateway


def _open_ollama(wanted: Wanted) -> bool:
    return OLLAMA in wanted.gateway


def _open_api(wanted: Wanted) -> bool:
    return API in wanted.gateway


def _open_mirror(wanted: Wanted) -> bool:
    return MIRROR in wanted.gateway


def _mirrors(wanted: Wanted) -> bool:
    return bool(wanted.mirrors)


def _asks_gateways(wanted: Wanted) -> bool:
    return bool(wanted.gateway_urls)


CHECKLIST = (
    Item("The host can be reached over SSH, and sudo works", _fleet, login),
    Item(
        "The Gizzi VM has memory for Ollama beside all else that runs there (16 GB with llama3.1:8b)",
        _servers,
        memory,
        "centralized",
    ),
    Item(
        "Every VM has memory for Ollama beside its validator (12 GB with llama3.1:8b)", _servers, memory, "distributed"
    ),
    Item("Ollama is installed and runs at the wanted version", _servers, installed),
    Item("The service runs and starts at boot", _servers, service),
    Item("The service runs in a sandbox", _servers, exposure),
    Item("The server's environment has only what the role sets", _servers, environment),
    Item("The server's journal gets no password of a proxy", _servers, secrets),
    Item("The models are pulled", _servers, models),
    Item("The models' files match their checksums", _servers, blobs),
    Item("Port 11434 listens on loopback alone, and only on a server", _fleet, listening),
    Item("The gateway runs and starts at boot", _gateway, gateways.gateway),
    Item("Only the gateway listens on its ports, over IPv4 and IPv6", _gateway, gateways.gateway_listening),
    Item("Only the fleet can connect to the gateway's port 11443", _open_ollama, gateways.guard),
    Item("Only the hosts that pull can connect to the mirror's port 11444", _open_mirror, gateways.mirror_guard),
    Item("The mirror gives each server that pulls from it the manifests of its models", _mirrors, gateways.mirror),
    Item(
        "The gateway's certificate is from the fleet's authority, has the host's addresses, and is valid for 30 days",
        _gateway,
        gateways.certificate,
    ),
    Item(
        "A gateway answers a validator with a token, and refuses requests without a token and changes of its models",
        _asks_gateways,
        gateways.refusals,
    ),
    Item("Hosts without a gateway have nothing left of one", _no_gateway, gateways.no_gateway),
    Item(
        "No other validator can open port 11434 of a validator that serves itself alone",
        _validators,
        isolated,
        "distributed",
    ),
    Item("Every validator can reach its servers", _validators, reach),
    Item("Every validator gets an answer to a prompt", _validators, answers),
    Item("Every validator has the command gizzi, which asks the right servers in the right order", _clients, client),
    Item("Hosts without Ollama have nothing left of it", _others, absent),
    Item("The Gizzi API runs and starts at boot", _gizzi, api),
    Item("Port 8080 of the Gizzi API listens on loopback alone", _gizzi, api_listening),
    Item("Only the fleet can connect to the Gizzi API's port 8443", _open_api, gateways.api_guard),
    Item("Every validator can read the network's state, and no validator's state is unknown", _readers, network),
)


def verify(host: Host) -> list[dict[str, str]]:
    """Return a row of each item that concerns the host: item, check, host, status (PASS, FAIL or SKIP) and reason."""
    rows = []
    for item in CHECKLIST:
        if item.concerns(host.wanted):
            status, reason = _judged(host, item)
            row = {"item": item.text, "check": item.judge.__name__, "host": host.wanted.host}
            rows.append({**row, "status": status, "reason": cut(reason)})
    return rows


def _judged(host: Host, item: Item) -> tuple[str, str]:
    topology = host.wanted.topology
    if item.topology not in ("", topology):
        return "SKIP", f"the topology is {topology}"
    if host.blind:
        return "FAIL", host.blind if item.judge is login else "the host could not be looked at"
    try:
        verdict = item.judge(host)
    except GizziError as error:
        return "FAIL", f"could not be seen: {error}"
    return ("SKIP" if verdict.ok is None else "PASS" if verdict.ok else "FAIL"), verdict.reason
