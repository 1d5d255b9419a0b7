"""The timer on the Gizzi host: what the role puts there, a missed run, one by schedule, one that fails, removal.

The tests run in this order: each goes on from what the one before has left, and makes it where it is not there.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import SETTINGS, Servers
from testinfra.host import Host

from lab import registry
from lab.testing import Lab, wait_until

UNIT = "gizzi-model-update.service"
TIMER = "gizzi-model-update.timer"
CONFIG = "/etc/gizzi-model-update"
HOME = "/var/lib/gizzi-model-update"
METRICS = "/var/lib/prometheus/node-exporter"
OWN_METRICS = "/var/lib/gizzi-model-update-metrics"
STAMP = "/var/lib/systemd/timers/stamp-gizzi-model-update.timer"

SECRETS = {
    "vault password": "the-vault-password-of-the-lab",
    "vaulted variable": "the-vaulted-variable-of-the-lab",
    "extra variable": "the-extra-variable-of-the-lab",
}
TRACES = f"""
ls -d /opt/gizzi-model-update {CONFIG} {HOME} {STAMP} /etc/systemd/system/*gizzi-model-update* \
  /etc/systemd/system/*.wants/gizzi-model-update* /usr/local/sbin/gizzi-model-update* {METRICS}/*model-update* \
  {OWN_METRICS} /etc/sysusers.d/gizzi-model-update* /var/lib/gizzi-files/gizzi-model-update* /var/lib/gizzi-undo
systemctl list-units --all --plain --no-legend 'gizzi-model-update*'
pgrep --list-full --uid gizzi-model-update
getent passwd gizzi-model-update
getent group gizzi-model-update
"""

Install = Callable[..., str]


@pytest.fixture(scope="module")
def gizzi(fleet: dict[str, Host]) -> Host:
    return fleet["validator01"]


@pytest.fixture(scope="module")
def variables(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return what the role is told: an inventory with something vaulted in it, the lab's key, a schedule of months."""
    folder = tmp_path_factory.mktemp("operator")
    password = folder / "vault-password"
    password.write_text(f"{SECRETS['vault password']}\n")
    inventory = folder / "inventory"
    (inventory / "group_vars").mkdir(parents=True)
    (inventory / "hosts.yml").write_text((lab.inventory / "hosts.yml").read_text())
    (inventory / "group_vars" / "all.yml").write_text((lab.inventory / "group_vars" / "all.yml").read_text())
    vaulted = inventory / "group_vars" / "validators.yml"
    vaulted.write_text(f"ansible_become_password: {SECRETS['vaulted variable']}\n")
    encrypt = ["ansible-vault", "encrypt", "--vault-password-file", str(password), str(vaulted)]
    subprocess.run(encrypt, check=True, capture_output=True)
    further = folder / "ansible_collections" / "acme" / "extra"
    (further / "meta").mkdir(parents=True)
    (further / "meta" / "runtime.yml").write_text("requires_ansible: '>=2.19.0'\n")
    return {
        "gizzi_topology": "distributed",
        "model_update_timer_collections": [str(further)],
        "model_update_timer_inventory": str(inventory),
        "model_update_timer_ssh_key": str(lab.inventory.parent / "ssh" / "id_ed25519"),
        "model_update_timer_vault_password_file": str(password),
        "model_update_timer_variables": {
            "gizzi_topology": "distributed",
            "gateway_mirror": False,
            # The host itself, as in production.
            "gizzi_ask_registry_from": "localhost",
            "model_update_serial": ["100%"],
            # As in conftest.py.
            "model_update_prompts": SETTINGS["model_update_prompts"],
            "model_update_minimum_speed": SETTINGS["model_update_minimum_speed"],
            "gizzi_api_token": SECRETS["extra variable"],
        },
        "model_update_timer_metrics_dir": METRICS,
        "model_update_timer_random_delay": "0",
        "model_update_timer_on_failure": ["gizzi-test-failure.service"],
    }


@pytest.fixture(scope="module")
def install(lab: Lab, variables: dict[str, object]) -> Install:
    """Return a function that runs the playbook with these values and others, and returns what was printed."""

    def run(*, fails: bool = False, **others: object) -> str:
        result = lab.playbook("etrid.gizzi.model_update_timer", "--diff", variables=variables | others)
        printed = result.stdout + result.stderr
        assert (result.returncode != 0) is fails, printed
        assert [name for name, secret in SECRETS.items() if secret in printed] == []
        return printed

    return run


@pytest.fixture
def there(gizzi: Host, install: Install) -> None:
    """Begin with the timer on the host."""
    if not gizzi.file(CONFIG).exists:
        install()


@pytest.fixture
def monthly(gizzi: Host, install: Install) -> None:
    """Begin with the timer on the host, and its schedule of months."""
    if gizzi.run("grep --quiet OnCalendar=monthly /etc/systemd/system/%s", TIMER).rc != 0:
        install()


def changed(printed: str) -> list[str]:
    """Return the tasks that have changed something."""
    task, found = "", []
    for line in printed.splitlines():
        if heading := re.match(r"TASK \[(?:[\w.]+ : )?(.*?)\] ", line):
            task = heading[1]
        elif line.startswith("changed: ") and task not in found:
            found.append(task)
    return found


def show(gizzi: Host, unit: str, setting: str) -> str:
    return str(gizzi.check_output("systemctl show --value --property=%s %s", setting, unit))


def started(gizzi: Host) -> int:
    """Return how often the service was started since the timer's file was written, over all boots of the host."""
    lines = gizzi.check_output(
        "journalctl --no-pager --output=cat --unit=%s --since=@$(stat --format=%%Y /etc/systemd/system/%s)", UNIT, TIMER
    ).splitlines()
    return sum(line.startswith(f"Starting {UNIT}") for line in lines)


def reports(gizzi: Host) -> list[str]:
    return sorted(gizzi.run("ls -d %s/reports/model_update-*.json", HOME).stdout.split())


def metrics(gizzi: Host) -> dict[str, float]:
    """Return what node_exporter reads, and that it reads it without an error."""
    page = gizzi.check_output("curl --silent --fail http://127.0.0.1:9100/metrics")
    values = dict(re.findall(r"(?m)^(node_textfile_scrape_error|gizzi_model_update_\w+) (\S+)$", page))
    return {name: float(value) for name, value in values.items()}


def test_what_is_wrong_is_said_all_at_once_and_changes_nothing(gizzi: Host, install: Install) -> None:
    assert gizzi.run(TRACES).stdout == ""
    printed = install(
        fails=True,
        model_update_timer_random_delay="a while",
        model_update_timer_ssh_key="/nowhere/key",
        model_update_timer_inventory="/nowhere/inventory",
        model_update_timer_vault_password_file="/nowhere/password",
        model_update_timer_on_failure=["mail"],
        model_update_timer_variables={"model_update_report_dir": "/tmp"},
        model_update_timer_metrics_dir="metrics",
        model_update_timer_collections=["/nowhere/extra"],
    )
    for said in (
        'model_update_timer_random_delay is "a while"',
        'model_update_timer_ssh_key is "/nowhere/key", and there is no such file',
        'The inventory "/nowhere/inventory" is no file or folder',
        'model_update_timer_vault_password_file is "/nowhere/password"',
        "model_update_timer_on_failure is ['mail']",
        "model_update_timer_variables sets model_update_report_dir",
        'model_update_timer_metrics_dir is "metrics"',
        "model_update_timer_collections has /nowhere/extra",
    ):
        assert said in " ".join(printed.split())
    # What only the host can tell.
    printed = install(fails=True, model_update_timer_schedule="every month")
    assert 'model_update_timer_schedule is "every month", which systemd does not' in " ".join(printed.split())
    assert gizzi.run(TRACES).stdout == ""


def test_what_is_on_the_host(gizzi: Host, install: Install) -> None:
    install()
    (release,) = set(gizzi.file("/opt/gizzi-model-update").listdir()) - {"current"}
    assert gizzi.file("/opt/gizzi-model-update/current").linked_to == f"/opt/gizzi-model-update/{release}"
    packages = gizzi.check_output("echo /opt/gizzi-model-update/%s/lib/python3.*/site-packages", release)
    collections = f"{packages}/ansible_collections"
    assert gizzi.file(f"{collections}/acme/extra/meta/runtime.yml").exists
    assert gizzi.run("find %s ! -user root -o -perm /022 ! -type l", collections).stdout == ""
    modes = gizzi.check_output("find %s -printf '%%m %%u %%P\\n' | sort --key=3", CONFIG).splitlines()
    user = "gizzi-model-update"
    assert modes == [
        "750 root ",
        "640 root ansible.cfg",
        f"700 {user} inventory",
        f"700 {user} inventory/group_vars",
        f"600 {user} inventory/group_vars/all.yml",
        f"600 {user} inventory/group_vars/validators.yml",
        f"600 {user} inventory/hosts.yml",
        "640 root known_hosts",
        f"600 {user} ssh_key",
        f"600 {user} variables.yml",
        f"600 {user} vault_password",
    ]
    vaulted = gizzi.file(f"{CONFIG}/inventory/group_vars/validators.yml").content_string
    assert vaulted.startswith("$ANSIBLE_VAULT;")
    report = gizzi.check_output("systemd-analyze --no-pager security %s", UNIT)
    exposure = re.search(rf"Overall exposure level for {UNIT}: ([0-9.]+) ", report)
    assert exposure is not None
    assert float(exposure[1]) <= 1.5


@pytest.mark.usefixtures("monthly")
def test_the_next_run_is_on_the_first_of_the_month(gizzi: Host) -> None:
    assert show(gizzi, TIMER, "Persistent") == "yes"
    # As systemd reckons a month, and as the calendar does.
    expected = gizzi.check_output("date --date=\"$(date +%Y-%m-01) +1 month\" '+%a %Y-%m-%d %H:%M:%S %Z'")
    assert show(gizzi, TIMER, "NextElapseUSecRealtime") == expected
    assert gizzi.service(TIMER).is_enabled
    assert started(gizzi) == 0  # a new timer has missed nothing


@pytest.mark.usefixtures("monthly")
def test_a_run_that_was_cut_off_is_made_up_for_after_the_boot(lab: Lab, gizzi: Host) -> None:
    before, starts = reports(gizzi), started(gizzi)
    gizzi.check_output("systemctl start --no-block %s", UNIT)
    wait_until(lambda: gizzi.run("pgrep --uid gizzi-model-update ssh").rc == 0, 300, "the run talks to the fleet")
    # It stands still until the reboot, in the middle of what it does.
    gizzi.check_output("systemctl kill --signal=SIGSTOP %s", UNIT)
    # What everybody on the host can see of the run.
    seen = gizzi.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; systemctl show %s", UNIT)
    assert "etrid.gizzi.model_update" in seen
    assert [name for name, secret in SECRETS.items() if secret in seen] == []

    assert reports(gizzi) == before
    lab.reboot(["validator01"], timeout=300)
    wait_until(lambda: reports(gizzi) > before, 300, "the missed run has come, and has written its report")
    wait_until(lambda: show(gizzi, UNIT, "ActiveState") == "inactive", 300, "the run has ended")
    assert started(gizzi) == starts + 2
    # A month's run that was done is not done again.
    assert gizzi.run("test %s -nt %s", STAMP, reports(gizzi)[-1]).rc == 0
    page = metrics(gizzi)
    assert (page["node_textfile_scrape_error"], page["gizzi_model_update_unit_success"]) == (0, 1)
    assert page["gizzi_model_update_success"] == 1


@pytest.mark.usefixtures("monthly", "original")
def test_a_run_by_schedule_brings_the_new_model(
    gizzi: Host, internet: Host, servers: Servers, install: Install
) -> None:
    before = len(reports(gizzi))
    gizzi.check_output("touch --date='-2 days' %s", STAMP)
    with registry.moved(internet, "newer") as digest:
        printed = install(model_update_timer_schedule="*-*-* *:*:0/20")
        # Nothing else was new. The schedule of seconds would have run within these two days: those are not repeated.
        assert changed(printed) == [
            "Bring the files, and switch to the wanted release",
            "timer | Let a changed schedule count from now",
            "timer | Have the timer wait for the next run",
            "finish | Forget what was there before, and keep one previous release",
        ]
        wait_until(lambda: len(reports(gizzi)) > before, 400, "a run by schedule has written its report")
        gizzi.check_output("systemctl stop %s", TIMER)
        wait_until(lambda: show(gizzi, UNIT, "ActiveState") == "inactive", 300, "the last run has ended")
        first = json.loads(gizzi.file(reports(gizzi)[before]).content_string)
        assert {row["host"]: row["verdict"] for row in first["results"]} == dict.fromkeys(servers.names, "updated")
        assert servers.serve(digest) == set(servers.names)


@pytest.mark.usefixtures("there")
def test_a_host_with_another_key_is_refused_and_the_failure_is_seen(gizzi: Host) -> None:
    known = f"{CONFIG}/known_hosts"
    # The inventory of the lab says StrictHostKeyChecking=no.
    gizzi.check_output("cp --preserve %s %s.kept && sed -i 's/ AAAA/ AAAB/' %s", known, known, known)
    unit = "[Service]\\nType=oneshot\\nExecStart=/usr/bin/touch /run/gizzi-test-failed\\n"
    gizzi.check_output("printf %s > /run/systemd/system/gizzi-test-failure.service && systemctl daemon-reload", unit)
    try:
        assert gizzi.run("systemctl start %s", UNIT).rc != 0
        assert show(gizzi, UNIT, "Result") == "exit-code"
        wait_until(lambda: gizzi.file("/run/gizzi-test-failed").exists, 60, "systemd has started OnFailure")
        assert metrics(gizzi)["gizzi_model_update_unit_success"] == 0
        journal = "journalctl --no-pager --output=cat --unit=%s --lines=200"
        wait_until(
            lambda: "Host key verification failed" in gizzi.check_output(journal, UNIT),
            60,
            "the journal has the reason",
        )
    finally:
        gizzi.check_output("mv %s.kept %s", known, known)


@pytest.mark.usefixtures("there")
def test_no_secret_is_told(lab: Lab, gizzi: Host, variables: dict[str, object]) -> None:
    key = Path(str(variables["model_update_timer_ssh_key"])).read_text()
    # A line of its middle: the first ones are the same in every key.
    told = gizzi.check_output(
        "journalctl --no-pager --output=cat; cat /etc/systemd/system/gizzi-model-update.* %s/ansible.cfg; "
        "systemctl show %s %s; find %s/reports %s -type f -exec cat '{}' +",
        CONFIG,
        UNIT,
        TIMER,
        HOME,
        OWN_METRICS,
    )
    assert "etrid.gizzi.model_update" in told
    secrets = SECRETS | {"key": key.splitlines()[2]}
    assert [name for name, secret in secrets.items() if secret in told] == []
    assert yaml.safe_load(gizzi.file(f"{CONFIG}/variables.yml").content_string)["gizzi_api_token"] in SECRETS.values()
    assert gizzi.file(f"{CONFIG}/ssh_key").content_string == key


@pytest.mark.usefixtures("there")
def test_removal_leaves_nothing(gizzi: Host, install: Install) -> None:
    assert gizzi.run(TRACES).stdout != ""
    printed = install(model_update_timer_state="absent")
    assert gizzi.run(TRACES).stdout == ""
    assert "remove | Remove the files" in changed(printed)
    assert changed(install(model_update_timer_state="absent")) == []
