"""From Option A to Option B: every validator serves itself and nobody else, then with a server to fall back to.

Each test starts from what the one before has left.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from testinfra.host import Host

from ansible_collections.etrid.gizzi.plugins.plugin_utils import _authority
from lab import client, gateway, registry
from lab.ollama import MODEL, PORT, asked, digests, every_address, guard_rules, reached
from lab.server import Server
from lab.testing import Lab, wait_until

Site = Callable[..., "subprocess.CompletedProcess[str]"]
Report = Callable[..., tuple["subprocess.CompletedProcess[str]", dict[str, Any]]]

SERVER, KEEPER, LOSER = "validator01", "validator02", "validator03"


def each_serves_itself_alone(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    for name in lab.groups["validators"]:
        host = fleet[name]
        asked(host, host, "127.0.0.1", "127.0.0.1")
        assert digests(host, "127.0.0.1")[MODEL] == registry.digest(lab.outside("internet"))
        listeners = host.check_output(f"ss -Hltn sport = :{PORT}").splitlines()
        assert [line.split()[3] for line in listeners] == [f"127.0.0.1:{PORT}"]
        assert guard_rules(host) == []
        assert not host.file("/etc/systemd/system/gizzi-guard-ollama.service").exists
        # The gateway before the Gizzi API keeps its guard.
        assert host.file("/usr/local/sbin/gizzi-guard").exists == (name == SERVER)
        assert reached(host, every_address(lab)) == reached(host, every_address(lab), gateway.OLLAMA) == set()
    assert reached(stranger, every_address(lab), 22) == every_address(lab)
    for port in (PORT, gateway.OLLAMA, gateway.API, gateway.MIRROR):
        assert reached(stranger, every_address(lab), port) == set()
    assert reached(fleet[KEEPER], every_address(lab), gateway.MIRROR) == set(lab.addresses(SERVER))


def test_check_mode_predicts_the_switch_and_changes_nothing(site: Site, state: Callable[[], set[str]]) -> None:
    before = state()
    predicted = site("distributed", "--check")
    assert predicted.returncode == 0, predicted.stdout
    assert "0" not in re.findall(r"changed=(\d+)", predicted.stdout)
    assert state() ^ before == set()


def test_a_switch_that_fails_leaves_the_fleet_its_server(
    lab: Lab, fleet: dict[str, Host], stranger: Host, site: Site
) -> None:
    # Preflight is content; the download fails later, after the other new server may have been deployed.
    fleet[LOSER].check_output("cp /etc/hosts /run/hosts && echo 127.0.0.1 github.com >> /etc/hosts")
    try:
        result = site("distributed")
    finally:
        fleet[LOSER].check_output("cat /run/hosts > /etc/hosts")
    assert result.returncode != 0
    gateway.asked(fleet[SERVER], fleet[LOSER], lab.addresses(SERVER)[0], LOSER)
    assert reached(stranger, every_address(lab), gateway.OLLAMA) == set()


@contextmanager
def reading_the_network(lab: Lab, client: Host) -> Iterator[None]:
    """Read the network's status once a second for as long as the block takes; every time it must be there."""
    status = f"--cacert {gateway.AUTHORITY} " + gateway.url(
        lab.addresses(SERVER)[0], "/api/network/status", gateway.API
    )
    answers = "/run/network-status"
    client.check_output(
        "systemd-run --unit=read-network sh -c %s",
        f"""
        while curl --silent --max-time 5 --output /dev/null --write-out '%{{http_code}}\\n' {status} >> {answers}
        do sleep 1; done""",
    )
    try:
        yield
        read = client.file(answers).content_string.split()
        assert set(read) == {"200"}, read
        assert client.service("read-network").is_running
    finally:
        client.run("systemctl stop read-network; rm -f %s", answers)


@pytest.fixture
def installed(lab: Lab, tmp_path: Path) -> Path:
    """Return a folder in which the collection is installed from its archive, as its users have it."""
    galaxy = ["ansible-galaxy", "collection"]
    subprocess.run([*galaxy, "build", "--output-path", tmp_path, lab.project], check=True, capture_output=True)
    (archive,) = tmp_path.glob("etrid-gizzi-*.tar.gz")
    collections = tmp_path / "collections"
    # The checkout is installed in the tests' own environment: without force there would be nothing to do.
    install = ["install", "--offline", "--force", "--collections-path", collections, archive]
    subprocess.run([*galaxy, *install], check=True, capture_output=True)
    return collections


def test_an_installed_collection_switches_while_questions_are_answered(
    lab: Lab, fleet: dict[str, Host], stranger: Host, site: Site, installed: Path
) -> None:
    with reading_the_network(lab, fleet[KEEPER]), client.asking(fleet[KEEPER]) as answered_by:
        result = site("distributed", "-vv", collections=installed)
    assert result.returncode == 0, result.stdout
    assert set(re.findall(r"task path: (.*)/ansible_collections/", result.stdout)) == {str(installed)}
    assert answered_by == [SERVER, "own"]
    each_serves_itself_alone(lab, fleet, stranger)
    client.ask_everywhere(fleet, dict.fromkeys(lab.groups["validators"], "own"))


def test_what_the_gizzi_host_has_the_others_have_from_it(lab: Lab) -> None:
    """Option A has brought the model to that host, and the switch before this test to the others."""
    sent = registry.downloads(registry.requests(lab.outside("internet")))
    assert sent.keys() - {*lab.addresses(SERVER)} <= {*lab.addresses(KEEPER)}
    # Who asks the registry for the fleet reads the header of the weights in each run, of a megabyte.
    assert sum(sent[address] for address in sent.keys() & {*lab.addresses(KEEPER)}) < 10e6


def test_the_mirror_is_for_the_fleet_alone(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    mirror = set(lab.addresses(SERVER))

    def is_closed_again() -> bool:
        return not reached(stranger, mirror, gateway.MIRROR) and reached(fleet[LOSER], mirror, gateway.MIRROR) == mirror

    fleet[SERVER].check_output("iptables -F && ip6tables -F && nft flush ruleset")
    wait_until(is_closed_again, 2, "the guard is back in time")
    lab.reboot([SERVER])
    wait_until(lambda: reached(fleet[LOSER], mirror, gateway.MIRROR) == mirror, 60, "the mirror serves after a reboot")
    assert reached(stranger, mirror, gateway.MIRROR) == set()


def test_a_second_run_changes_nothing_and_asks_little(lab: Lab) -> None:
    again, calls = lab.counted("etrid.gizzi.site", variables={"gizzi_topology": "distributed"})
    assert again.returncode == 0, again.stdout
    assert set(re.findall(r"changed=(\d+)", again.stdout)) == {"0"}
    # One of them asks the registry for all.
    assert calls[KEEPER].count("etrid.gizzi.ollama_registry_info") == 1
    assert len(calls[KEEPER]) <= 9, calls[KEEPER]
    assert len(calls[LOSER]) <= 8, calls[LOSER]
    assert len(calls[SERVER]) <= 17, calls[SERVER]


UPDATE = {
    "gizzi_topology": "distributed",
    "model_update_prompts": [
        {"name": "France", "prompt": "What is the capital of France?", "pattern": "Paris", "tokens": 12}
    ],
    "model_update_serial": ["100%"],
    # The servers share two cores.
    "model_update_minimum_speed": 0,
}


def days_left(gizzi: Host, of: str) -> float:
    """Return for how many days the certificate of a listener, or of a file, is still good."""
    end = gizzi.check_output(f"{of} | openssl x509 -noout -enddate | cut -d= -f2 | xargs -I END date -d END +%s")
    return (int(end) - int(gizzi.check_output("date +%s"))) / 86400


SERVED = f"openssl s_client -connect 127.0.0.1:{gateway.API} </dev/null 2>/dev/null"


@pytest.fixture
def certificate_ends_soon(lab: Lab, fleet: dict[str, Host]) -> None:
    """Let the gateway serve a certificate that was made 320 days ago, which the control host has too."""
    gizzi, folder = fleet[SERVER], Path(f"{lab.inventory}.authority")

    def kept(name: str) -> str:
        return (folder / name).read_text()

    authority = _authority.Pair(
        _authority.read_certificate(kept("authority.pem"), "authority.pem"),
        _authority.read_key(kept("authority.key"), "authority.key"),
    )
    present = _authority.read_certificate(kept(f"{SERVER}.pem"), SERVER)
    names = present.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    aged = _authority.made(authority, SERVER, list(names), _authority.clock() - timedelta(days=320))
    for end, text, there in (("pem", aged.certificate_pem(), "certificate.pem"), ("key", aged.key_pem(), "key.pem")):
        (folder / f"{SERVER}.{end}").write_text(text)
        gizzi.run_expect([0], f"cat > /etc/gizzi-gateway/{there} <<'EOF'\n{text}EOF")
    gizzi.check_output("systemctl reload gizzi-gateway")
    wait_until(lambda: 40 < days_left(gizzi, SERVED) < 46, 30, "the gateway serves it")


@pytest.mark.usefixtures("certificate_ends_soon")
def test_an_update_has_a_new_model_from_the_internet_once_and_renews_a_certificate(
    lab: Lab, fleet: dict[str, Host], tmp_path: Path
) -> None:
    internet = lab.outside("internet")
    meter = registry.Meter(internet)
    with registry.moved(internet, "newer") as digest, reading_the_network(lab, fleet[KEEPER]):
        size = registry.size(internet)
        update = lab.playbook("etrid.gizzi.model_update", variables=UPDATE | {"model_update_report_dir": str(tmp_path)})
    assert update.returncode == 0, update.stdout
    assert days_left(fleet[SERVER], SERVED) > 360
    assert {digests(fleet[name], "127.0.0.1")[MODEL] for name in (SERVER, KEEPER, LOSER)} == {digest}
    sent = registry.downloads(meter.requests())
    # The two models have their template in common.
    assert sum(sent[address] for address in sent.keys() & {*lab.addresses(SERVER)}) > 0.99 * size
    assert sum(sent.values()) < 1.01 * size


def test_models_come_from_a_file_where_there_is_no_internet(
    lab: Lab, fleet: dict[str, Host], site: Site, tmp_path: Path
) -> None:
    file = tmp_path / "models.tar"
    settings = {"gizzi_topology": "distributed", "model_bundle_file": str(file)}
    written = lab.playbook("etrid.gizzi.model_bundle", variables=settings)
    assert written.returncode == 0, written.stdout
    (checksum,) = re.findall(r"gizzi_bundle_sha256: ([0-9a-f]{64})", written.stdout)
    before = digests(fleet[SERVER], "127.0.0.1")[MODEL]
    for name in lab.groups["validators"]:
        server = Server(fleet[name])
        for model in digests(fleet[name], "127.0.0.1"):
            server.api("/api/delete", {"model": model}, "--request", "DELETE")
    meter = registry.Meter(lab.outside("internet"))
    wrong = site("distributed", gizzi_bundle=str(file), gizzi_bundle_sha256="0" * 64)
    assert wrong.returncode != 0
    assert {name: digests(fleet[name], "127.0.0.1") for name in (SERVER, LOSER)} == {SERVER: {}, LOSER: {}}
    result = site("distributed", gizzi_bundle=str(file), gizzi_bundle_sha256=checksum)
    assert result.returncode == 0, result.stdout
    assert meter.requests() == []
    assert {digests(fleet[name], "127.0.0.1")[MODEL] for name in lab.groups["validators"]} == {before}
    client.ask_everywhere(fleet, dict.fromkeys(lab.groups["validators"], "own"))


def test_the_fleet_falls_back_and_nobody_else(lab: Lab, fleet: dict[str, Host], stranger: Host, site: Site) -> None:
    result = site("distributed", gizzi_fallback_server=True)
    assert result.returncode == 0, result.stdout
    assert reached(fleet[LOSER], every_address(lab), gateway.OLLAMA) == set(lab.addresses(SERVER))
    assert reached(stranger, every_address(lab), gateway.OLLAMA) == set()
    assert client.gizzi(fleet[LOSER], "ask", "--no-cache", client.QUESTION)["endpoint"] == "own"
    fleet[LOSER].check_output("systemctl stop ollama")
    try:
        answer = client.gizzi(fleet[LOSER], "ask", "--no-cache", client.QUESTION)
    finally:
        fleet[LOSER].check_output("systemctl start ollama")
    assert answer["endpoint"] == SERVER
    assert "Paris" in answer["text"]


@pytest.fixture
def wide(fleet: dict[str, Host]) -> Iterator[None]:
    """Let one server listen on all addresses, as somebody might by hand."""
    host = fleet[LOSER]
    dropin = "/etc/systemd/system/ollama.service.d/zz-wide.conf"
    host.check_output("printf '[Service]\\nEnvironment=OLLAMA_HOST=[::]:11434\\n' > %s", dropin)
    host.check_output("systemctl daemon-reload && systemctl restart ollama")
    wait_until(lambda: reached(host, ["127.0.0.1"]), 120, "Ollama listens")
    yield
    host.check_output("rm %s && systemctl daemon-reload && systemctl restart ollama", dropin)


@pytest.mark.usefixtures("wide")
def test_a_server_opened_by_hand_is_all_that_verify_finds(lab: Lab, stranger: Host, report: Report) -> None:
    assert reached(stranger, every_address(lab)) == set(lab.addresses(LOSER))
    result, told = report("verify", "distributed", gizzi_fallback_server=True)
    assert result.returncode != 0
    rows = {(row["check"], row["host"]): row for row in told["results"] if row["status"] != "SKIP"}
    validators = lab.groups["validators"]
    neighbour = validators[validators.index(LOSER) - 1]
    failed = {key for key, row in rows.items() if row["status"] == "FAIL"}
    assert failed == {("environment", LOSER), ("listening", LOSER), ("isolated", neighbour)}
    assert "OLLAMA_HOST" in rows["environment", LOSER]["reason"]
    assert lab.addresses(LOSER)[1] in rows["isolated", neighbour]["reason"]
    checks = {"login", "memory", "installed", "service", "exposure", "environment", "secrets", "models"}
    checks |= {"listening", "isolated", "reach", "answers", "client", "network", "mirror"}
    for name in validators:
        # It serves the fleet too.
        own = {"api", "api_listening", "api_guard", "guard", "gateway", "gateway_listening", "certificate"}
        own.add("mirror_guard")
        more = own if name == SERVER else {"refusals", "no_gateway"}
        assert {check for check, host in rows if host == name} == checks | more
