"""A fleet that the user's document has made, after one run of site.yml (and a second that changed nothing)."""

from __future__ import annotations

import json
import re

import pytest
from testinfra.host import Host

from lab import client, gateway, network, registry
from lab.ollama import JOURNAL, MODEL, PORT, STORE, digests, every_address, reached
from lab.server import LOOPBACK, Server
from lab.takeover import ASIDE, ASKER, CLIENT, OLD_STORE, OWN, SERVER, before, meaningful, old_digests, replaced
from lab.testing import Lab

PROGRAM = "/usr/local/bin/ollama"


def test_the_only_gap_is_one_restart(fleet: dict[str, Host], capsys: pytest.CaptureFixture[str]) -> None:
    host = fleet[SERVER]
    gaps = [float(line) for line in host.file("/root/gaps").content_string.split()]
    asked = int(host.file("/root/answers").content_string)
    with capsys.disabled():
        print(f"\nWithout an answer of Ollama: {gaps} seconds; it answered {asked} times.")
    assert host.service("sampler").is_running
    assert len(gaps) == 1
    assert asked > 100
    # The try that failed in prepare.yml has started it too.
    since = '--since="$(systemctl show --value --property=ActiveEnterTimestamp sampler)"'
    started = host.check_output(f"{JOURNAL} {since}").splitlines()
    assert started.count("Started ollama.service - Ollama.") == 1
    assert Server(host).unit("NRestarts") == "0"


def test_nothing_came_from_the_registry(lab: Lab, internet: Host) -> None:
    seen = int((lab.inventory.parent / "requests-before").read_text())
    assert registry.traffic(registry.requests(internet, seen)) == registry.Traffic()


def test_the_same_digest_answers_every_validator(fleet: dict[str, Host]) -> None:
    assert digests(fleet[SERVER], LOOPBACK) == {MODEL: old_digests(fleet[SERVER])[MODEL]}
    client.ask_everywhere(fleet, {SERVER: "own", OWN: SERVER, ASKER: SERVER})


def test_models_are_linked_and_not_copied(fleet: dict[str, Host]) -> None:
    host = fleet[SERVER]
    inodes = {path: inode for path, inode, _size in map(str.split, before(host, "store").splitlines())}
    manifest = f"/manifests/registry.ollama.ai/library/{registry.path(MODEL)}"
    parts = json.loads(host.file(f"{STORE}{manifest}").content)
    for blob in (parts["config"], *parts["layers"]):
        path = f"/blobs/{blob['digest'].replace(':', '-')}"
        assert host.check_output("stat --format='%%i %%h' %s", f"{STORE}{path}") == f"{inodes[OLD_STORE + path]} 2"
    assert host.file(f"{STORE}{manifest}").content == host.file(f"{OLD_STORE}{manifest}").content


@pytest.mark.parametrize("name", [SERVER, OWN])
def test_the_old_store_is_as_it_was(fleet: dict[str, Host], name: str) -> None:
    found = fleet[name].check_output(f"find {OLD_STORE} -type f -printf '%p %i %s\\n' | sort")
    assert found == before(fleet[name], "store").strip()
    assert fleet[name].file("/usr/local/lib/ollama").is_directory


@pytest.mark.parametrize("name", [SERVER, OWN, ASKER])
def test_what_was_replaced_is_aside_byte_for_byte(fleet: dict[str, Host], name: str) -> None:
    host = fleet[name]
    assert CLIENT in replaced(host)
    aside = before(host, "files").replace("\n", f"{ASIDE}\n")
    host.check_output("printf %%s %s | sha256sum --check --strict --quiet", aside)
    assert not host.file(CLIENT).exists
    assert not host.file("/etc/systemd/system/default.target.wants/ollama.service").exists
    # The lab has one build, so the program alone may be the same.
    again = [line for line in host.run("sha256sum --check /root/before/files").stdout.splitlines() if ": OK" in line]
    assert [line for line in again if not line.startswith(PROGRAM)] == []
    assert not host.file(PROGRAM).exists or host.file(PROGRAM).linked_to.startswith("/opt/ollama/")


def test_only_the_gateway_is_open(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    for name in (SERVER, OWN, ASKER):
        found = fleet[name].check_output(f"ss -Hltn 'sport = :{PORT} or sport = :{network.PORT}'").splitlines()
        listening = {line.split()[3] for line in found}
        assert listening == ({f"{LOOPBACK}:{PORT}", f"{LOOPBACK}:{network.PORT}"} if name == SERVER else set()), name
    for port in (PORT, network.PORT, gateway.OLLAMA, gateway.API):
        assert reached(stranger, every_address(lab), port) == set()


def test_the_server_of_a_validator_is_stopped_and_not_deleted(fleet: dict[str, Host]) -> None:
    host = fleet[OWN]
    assert host.run("pgrep --exact ollama").stdout == ""
    assert not host.service("ollama").is_running
    assert not host.service("ollama").is_enabled
    assert host.user("ollama").exists
    assert not host.file(PROGRAM).exists
    assert not host.file("/etc/systemd/system/ollama.service").exists


def test_rules_of_others_are_as_they_were(fleet: dict[str, Host]) -> None:
    for name in (SERVER, OWN):
        found = fleet[name].check_output("iptables-save -t filter")
        assert meaningful(found) == meaningful(before(fleet[name], "iptables")), name
    assert fleet[SERVER].file("/etc/iptables/rules.v4").content_string == before(fleet[SERVER], "rules.v4")
    assert fleet[OWN].check_output("ufw show added") == before(fleet[OWN], "ufw-added").strip()


TOLD = [
    (ASKER, "/opt/validator/ai_dev_workers.py line 5"),
    (ASKER, CLIENT, ASIDE),
    (OWN, "allow 11434/tcp", "gizzi_close_open_rules"),
    (OWN, PROGRAM, "/etc/systemd/system/ollama.service.d/own.conf", ASIDE, OLD_STORE),
    (SERVER, "iptables: -A INPUT -p tcp -m tcp --dport 11434 -j ACCEPT", "gizzi_close_open_rules"),
    (SERVER, "rules.v4: -A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT"),
    (SERVER, PROGRAM, "/etc/systemd/system/ollama.service.d/override.conf", ASIDE),
    (SERVER, "/opt/gizzi/api_server.py", ASIDE),
    (SERVER, "own-notes:latest", OLD_STORE, "ollama_models"),
]


def test_the_owner_was_told_before_anything_changed(lab: Lab) -> None:
    """In the dry run and in the first run, but not in the second: then nothing is left to be replaced."""
    log = (lab.project / ".ansible/takeover.log").read_text()
    *first, second = [run.partition("PLAY [Deploy")[0] for run in log.split("PLAY [Read the inventory]")[1:]]
    assert first
    for run in first:
        warnings = re.findall(r"\[WARNING\]: (.*)", run)
        missing = [told for told in TOLD if not any(all(word in line for word in told) for line in warnings)]
        assert missing == [], warnings
    assert ASIDE not in second
