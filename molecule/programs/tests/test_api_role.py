"""The role on its host: what it has put there, who reaches it, a reboot, removal, and installing anew.

The tests run in this order: from the removal on, each finds what the one before has left.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import yaml
from conftest import guard_rules
from testinfra.host import Host

from lab.network import PORT, ask, statuses
from lab.ollama import reached
from lab.testing import Lab, wait_until

CONVERGE = "molecule/programs/api.yml"
GIZZI = "validator01"
OTHER = "validator02"
ROOT = "/opt/gizzi-api"

TRACES = """
ls -d /opt/gizzi-api /etc/gizzi /etc/sysusers.d/gizzi-api* /var/lib/gizzi-undo /etc/prometheus/gizzi /root/.cache/pip \
  /etc/systemd/system/gizzi-api.service* \
  /etc/systemd/system/*.wants/gizzi-api.service /etc/systemd/system/gizzi-guard-gizzi-api*
systemctl list-units --all --plain --no-legend 'gizzi-api*'
pgrep --list-full gizzi-api
ss --no-header --listening --tcp --numeric sport = :8080
getent passwd gizzi-api
getent group gizzi-api
"""


def token(lab: Lab) -> str:
    (play,) = yaml.safe_load((lab.project / CONVERGE).read_text())
    return str(play["vars"]["gizzi_api_token"])


def unit(gizzi: Host, setting: str) -> str:
    return str(gizzi.check_output("systemctl show --value --property=%s gizzi-api.service", setting))


def serves_the_fleet(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    addresses = set(lab.addresses(GIZZI))
    for address in addresses:
        assert set(statuses(fleet[OTHER], address)) == {1, 2, 10, 21}
    # The network is open to the stranger, for ssh; the port is not, in either family.
    assert reached(stranger, addresses, 22) == addresses
    assert reached(stranger, addresses, PORT) == set()


def test_what_is_on_the_host(gizzi: Host) -> None:
    releases = set(gizzi.file(ROOT).listdir())
    (release,) = releases - {"current"}
    assert re.fullmatch(r"1\.0\.0-[0-9a-f]{12}", release)
    assert gizzi.file(f"{ROOT}/current").linked_to == f"{ROOT}/{release}"
    # Nothing waits to be put back.
    assert not gizzi.file("/var/lib/gizzi-undo").exists
    assert gizzi.run("find %s ! -user root", ROOT).stdout == ""
    for name, owner, mode in [("api.toml", "root", 0o640), ("api.token", "gizzi-api", 0o600)]:
        file = gizzi.file(f"/etc/gizzi/{name}")
        assert (file.user, file.group, file.mode) == (owner, "gizzi-api", mode)
    user = gizzi.user("gizzi-api")
    assert (user.shell, user.password[0], user.uid < 1000) == ("/usr/sbin/nologin", "!", True)


def test_service_runs_confined_and_starts_at_boot(gizzi: Host) -> None:
    service = gizzi.service("gizzi-api")
    assert (service.is_running, service.is_enabled, unit(gizzi, "NRestarts")) == (True, True, "0")
    report = gizzi.check_output("systemd-analyze --no-pager security gizzi-api.service")
    exposure = re.search(r"Overall exposure level for gizzi-api\.service: ([0-9.]+) ", report)
    assert exposure is not None
    assert float(exposure[1]) <= 1.5
    status = gizzi.file(f"/proc/{unit(gizzi, 'MainPID')}/status").content_string
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")


def test_fleet_reaches_it_over_both_families_and_a_stranger_does_not(
    lab: Lab, fleet: dict[str, Host], stranger: Host
) -> None:
    serves_the_fleet(lab, fleet, stranger)


def test_no_promql_without_the_token(lab: Lab, fleet: dict[str, Host]) -> None:
    path, address = "/api/prometheus/query?query=up", lab.addresses(GIZZI)[0]
    assert ask(fleet[OTHER], path, address=address)[0] == 401
    assert ask(fleet[OTHER], path, token=token(lab)[:-1], address=address)[0] == 401
    status, answer = ask(fleet[OTHER], path, token=token(lab), address=address)
    assert (status, answer["status"]) == (200, "success")


def test_token_is_told_to_nobody_else(lab: Lab, gizzi: Host) -> None:
    assert gizzi.file("/etc/gizzi/api.token").content_string == f"{token(lab)}\n"
    told = gizzi.check_output(
        "journalctl --no-pager --output=cat; cat /proc/[0-9]*/cmdline | tr '\\0' ' '; cat /proc/%s/environ; "
        "systemctl show gizzi-api.service; cat /etc/systemd/system/gizzi-api.service /etc/gizzi/api.toml",
        unit(gizzi, "MainPID"),
    )
    assert "gizzi-api" in told
    assert token(lab) not in told


def test_what_is_wrong_is_said_all_at_once_and_changes_nothing(gizzi: Host, converge: Callable[..., str]) -> None:
    look = "systemctl show --property=InvocationID gizzi-api; ls -lRn --time-style=full-iso /etc/gizzi /opt/gizzi-api"
    before = gizzi.check_output(look)
    twice = {"number": 7, "address": "192.0.2.7"}
    printed = converge(
        fails=True,
        gizzi_api_listen="8080",
        gizzi_api_token="short",
        gizzi_api_validators=[twice | {"name": "one"}, twice | {"name": "other"}],
        gizzi_api_settings={"port": 80},
        gizzi_api_wheelhouse="/nowhere",
    )
    for said in (
        'gizzi_api_listen is "8080"',
        "gizzi_api_token is not at least 16",
        "gizzi_api_validators has a number twice: 7",
        "gizzi_api_settings sets port. Set gizzi_api_listen instead",
        'gizzi_api_wheelhouse is "/nowhere", and the control host has no folder with wheels there',
    ):
        assert said in printed
    assert gizzi.check_output(look) == before


def test_after_a_reboot_all_is_back_without_a_playbook(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    lab.reboot([GIZZI])
    wait_until(lambda: reached(fleet[GIZZI], lab.addresses(GIZZI), PORT), 120, "the API listens")
    serves_the_fleet(lab, fleet, stranger)


def test_removal_leaves_nothing(gizzi: Host, converge: Callable[..., str]) -> None:
    assert gizzi.run(TRACES).stdout != ""
    converge(gizzi_api_state="absent")
    assert gizzi.run(TRACES).stdout == ""
    assert guard_rules(gizzi) == []
    assert gizzi.service("prometheus").is_running


def test_what_prometheus_lacks_stops_the_role_before_it_changes_anything(
    gizzi: Host, converge: Callable[..., str]
) -> None:
    printed = converge(fails=True, gizzi_api_node_job="nodes")
    assert 'Prometheus has no target under job "nodes" for validator01 (validator="1"), validator02' in printed
    assert '- job_name: "nodes"' in printed
    assert gizzi.run(TRACES).stdout == ""


def test_first_installation_that_is_not_ready_leaves_nothing_running(
    gizzi: Host, converge: Callable[..., str], program: Callable[..., str]
) -> None:
    printed = converge(fails=True, _gizzi_api_source=program("1.0.1", ends=True), gizzi_api_start_timeout=5)
    assert "There was no previous release to go back to, and nothing of this one is left." in printed
    assert "ended at once" in printed
    assert not gizzi.service("gizzi-api").is_running
    assert gizzi.run("ls %s", ROOT).stdout == ""
    assert not gizzi.file("/etc/gizzi/api.token").exists
    assert guard_rules(gizzi) == []


def test_installation_that_was_cut_off_is_completed_without_an_index(
    lab: Lab, fleet: dict[str, Host], stranger: Host, converge: Callable[..., str]
) -> None:
    gizzi = fleet[GIZZI]
    with ThreadPoolExecutor(1) as background:
        running = background.submit(lab.playbook, CONVERGE)
        # They stand still from then on, until the reboot ends them.
        wait_until(
            lambda: gizzi.run("pkill --signal STOP --full '[p]ip install'").rc == 0,
            300,
            "the dependencies are being installed",
        )
        lab.reboot([GIZZI])
        assert running.result().returncode != 0
    assert gizzi.run("ls %s/*/bin/python", ROOT).rc == 0
    assert gizzi.run("ls %s/*/.finished", ROOT).rc != 0

    gizzi.check_output("printf '[global]\\nindex-url = http://127.0.0.1:9/\\n' > /etc/pip.conf.none")
    gizzi.check_output("mv /etc/pip.conf /etc/pip.conf.kept && mv /etc/pip.conf.none /etc/pip.conf")
    try:
        converge(gizzi_api_wheelhouse=lab.variables[GIZZI]["lab_wheelhouse"])
    finally:
        gizzi.check_output("mv /etc/pip.conf.kept /etc/pip.conf")
    assert len(gizzi.file(ROOT).listdir()) == 2
    serves_the_fleet(lab, fleet, stranger)
