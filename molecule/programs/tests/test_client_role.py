"""The role on a host: what it has put there, who may use it, an upgrade, removal, and installing anew.

The tests run in this order: from the upgrade on, each finds what the one before has left.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from testinfra.host import Host

from lab.testing import Lab

CLIENTS = "molecule/programs/clients.yml"
NAME = "validator02"
ROOT = "/opt/validator/ollama-client"
TOKEN_FILE = "/etc/gizzi/client-api.token"
TRACES = """
ls -d /opt/validator /usr/local/bin/gizzi /etc/gizzi /usr/local/share/bash-completion \
  /var/cache/gizzi /var/cache/gizzi-root /var/lib/gizzi /var/lib/gizzi-root
getent group gizzi
"""

Converge = Callable[..., str]


@pytest.fixture
def host(fleet: dict[str, Host]) -> Host:
    return fleet[NAME]


@pytest.fixture
def converge(lab: Lab) -> Converge:
    """Return a function that runs the role on one host with other values, and returns what was printed."""

    def run(*, fails: bool = False, **variables: object) -> str:
        result = lab.playbook(CLIENTS, variables=variables)
        printed = result.stdout + result.stderr
        assert (result.returncode != 0) is fails, printed
        return " ".join(printed.split())

    return run


@pytest.fixture
def program(lab: Lab, tmp_path: Path) -> Callable[..., str]:
    """Return a function that makes another version of the program, one that ends at its start or a sound one."""

    def make(version: str, *, ends: bool = False) -> str:
        copy = tmp_path / version
        shutil.copytree(lab.project / "roles/ollama_client/files/ollama-client", copy)
        project = copy / "pyproject.toml"
        project.write_text(project.read_text().replace('version = "1.0.0"', f'version = "{version}"'))
        # A setting that the release before does not know.
        settings = copy / "src/ollama_client/settings.py"
        settings.write_text(settings.read_text().replace("    cooldown:", "    newest: int = 1\n    cooldown:", 1))
        if ends:
            settings.write_text('raise SystemExit("ended at once")\n')
        return str(copy)

    return make


def token(lab: Lab) -> str:
    (play,) = yaml.safe_load((lab.project / CLIENTS).read_text())
    return str(play["vars"]["ollama_client_api_token"])


def urls(host: Host) -> list[str]:
    """Return the servers that the program would ask, in their order."""
    settings = json.loads(host.check_output("gizzi config --json"))["settings"]
    return [endpoint["url"].rstrip("/") for endpoint in settings["endpoints"]]


def releases(host: Host) -> list[str]:
    return sorted(name.partition("-")[0] for name in host.file(ROOT).listdir() if name != "current")


def state(host: Host) -> str:
    """Return what a run that fails may not have changed."""
    return str(host.check_output("readlink %s/current; ls -lRn --time-style=full-iso /etc/gizzi; gizzi config", ROOT))


@contextmanager
def asking(host: Host) -> Iterator[None]:
    """Ask the program for its servers again and again for as long as the block takes; each time it must tell them."""
    asked = "/run/asked"
    host.check_output(
        "systemd-run --unit=ask-gizzi sh -c %s",
        f"while gizzi config --json | tail -n 1 >> {asked} 2>&1; do sleep 0.2; done",
    )
    try:
        yield
        lines = host.file(asked).content_string.split("\n")
        assert len(lines) > 3
        assert set(lines) == {"}", ""}, lines
        assert host.service("ask-gizzi").is_running
    finally:
        host.run("systemctl stop ask-gizzi; rm -f %s", asked)


def test_what_is_on_the_host(lab: Lab, host: Host) -> None:
    (release,) = set(host.file(ROOT).listdir()) - {"current"}
    assert re.fullmatch(r"1\.0\.0-[0-9a-f]{12}", release)
    assert urls(host) == ["http://127.0.0.1:11434", f"https://{lab.addresses('validator10')[0]}:11443"]
    assert host.file(TOKEN_FILE).content_string == f"{token(lab)}\n"
    for path, mode in [
        (TOKEN_FILE, 0o640),
        (f"{ROOT}/{release}/client.toml", 0o640),
        ("/var/cache/gizzi", 0o3770),
        ("/var/lib/gizzi", 0o3770),
    ]:
        file = host.file(path)
        assert (file.user, file.group, file.mode) == ("root", "gizzi", mode)
    for path in ("/var/cache/gizzi-root", "/var/lib/gizzi-root"):
        file = host.file(path)
        assert (file.user, file.group, file.mode) == ("root", "root", 0o700)
    assert host.run("find %s ! -user root", ROOT).stdout == ""
    completion = "source /usr/local/share/bash-completion/completions/gizzi && complete -p gizzi"
    assert "gizzi" in host.check_output("bash -c %s", completion)


def test_each_has_answers_of_their_own_and_root_a_ledger_of_its_own(host: Host) -> None:
    ask = "gizzi ask --json 'Name one colour.'"
    asked = [host.check_output(command, ask) for command in ("su ops -c %s", "su ops -c %s", "sh -c %s", "sh -c %s")]
    assert [json.loads(answer)["cached"] for answer in asked] == [False, True, False, True]
    shared = host.check_output("find /var/cache/gizzi /var/lib/gizzi -mindepth 1 -printf '%u:%g %M %f\\n'")
    assert set(re.findall(r"^(\S+) ", shared, re.MULTILINE)) == {"ops:gizzi"}
    assert re.search(r"^ops:gizzi -rw-\S+ ledger\.db$", shared, re.MULTILINE)
    own = host.check_output("find /var/cache/gizzi-root /var/lib/gizzi-root -type f")
    assert "/var/lib/gizzi-root/0/ledger.db" in own and ".json" in own


def test_others_read_no_secret(lab: Lab, host: Host) -> None:
    for path in (TOKEN_FILE, "/etc/gizzi/client.toml"):
        assert host.run("su -s /bin/sh nobody -c %s", f"cat {path}").rc != 0
    refused = host.run("su -s /bin/sh nobody -c 'gizzi ask hello'")
    assert refused.rc == 1
    assert "/etc/gizzi/client.toml: this user may not read it" in refused.stderr
    assert "Traceback" not in refused.stderr
    # Without what sudo notes of the commands of these tests: some ask the API with the token.
    told = host.check_output(
        "journalctl --namespace=+ollama --no-pager | grep -v ' sudo\\['; "
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; gizzi config"
    )
    assert "client-api.token" in told
    assert token(lab) not in told


def test_what_is_wrong_is_said_all_at_once_and_changes_nothing(host: Host, converge: Converge) -> None:
    before = state(host)
    printed = converge(
        fails=True,
        ollama_client_model="llama 3",
        ollama_client_endpoints=[{"name": "own", "url": "gizzi:11434"}, {"name": "own", "url": "http://gizzi:11434"}],
        ollama_client_api_token="two words",
        ollama_client_settings={"api": {"url": "http://192.0.2.1"}},
        ollama_client_wheelhouse="/nowhere",
    )
    for said in (
        'ollama_client_model is "llama 3"',
        "ollama_client_endpoints has a name twice: own, own",
        "ollama_client_endpoints has the addresses gizzi:11434",
        "ollama_client_api_token, ollama_client_anthropic_key or a token in ollama_client_endpoints has blanks",
        "ollama_client_settings sets api.url. Set ollama_client_api_url instead",
        'ollama_client_wheelhouse is "/nowhere", and the control host has no folder with wheels there',
    ):
        assert said in printed
    assert state(host) == before


def test_settings_that_the_program_refuses_take_no_effect(host: Host, converge: Converge) -> None:
    before = state(host)
    printed = converge(fails=True, ollama_client_settings={"failover": {"cooldowns": 3}})
    assert "failover.cooldowns" in printed
    assert state(host) == before


def test_upgrade_has_a_program_and_its_settings_at_every_moment(
    host: Host, converge: Converge, program: Callable[..., str]
) -> None:
    elsewhere = [{"name": "elsewhere", "url": "http://192.0.2.9:11434", "token": "of-the-gateway"}]
    newer = {
        "_ollama_client_source": program("1.0.1"),
        "ollama_client_endpoints": elsewhere,
        "ollama_client_api_token": "",
        "ollama_client_settings": {"prompt": {"answer_tokens": 64}, "failover": {"newest": 2}},
    }
    with asking(host):
        converge(**newer)
        assert urls(host) == ["http://192.0.2.9:11434"]
        assert releases(host) == ["1.0.0", "1.0.1"]
        kept = ["client-endpoint-elsewhere.token", "client.toml", "fleet-ca.pem"]
        assert sorted(host.file("/etc/gizzi").listdir()) == kept

        printed = converge(fails=True, **newer | {"_ollama_client_source": program("1.0.2", ends=True)})
        assert "ended at once" in printed
        assert "of-the-gateway" not in printed
    assert host.file(f"{ROOT}/current").linked_to.startswith(f"{ROOT}/1.0.1-")


def test_removal_leaves_nothing(host: Host, converge: Converge) -> None:
    assert host.run(TRACES).stdout != ""
    converge(ollama_client_state="absent")
    assert host.run(TRACES).stdout == ""
    assert " changed=0 " in converge(ollama_client_state="absent")


def test_installation_without_an_index_leaves_what_is_not_ours(lab: Lab, host: Host, converge: Converge) -> None:
    host.check_output("printf '#!/bin/sh\\necho theirs\\n' > /usr/local/bin/gizzi && chmod 755 /usr/local/bin/gizzi")
    host.check_output("mkdir /etc/gizzi && touch /etc/gizzi/client.toml")
    printed = converge(fails=True, ollama_client_users=["ops", "nobody-knows"])
    assert "This role has not made what is at /usr/local/bin/gizzi and /etc/gizzi/client.toml" in printed
    assert "ollama_client_users names nobody-knows" in printed
    assert host.check_output("gizzi") == "theirs"
    assert not host.file(ROOT).exists
    host.check_output("rm /usr/local/bin/gizzi /etc/gizzi/client.toml")

    host.check_output("printf '[global]\\nindex-url = http://127.0.0.1:9/\\n' > /etc/pip.conf.none")
    host.check_output("mv /etc/pip.conf /etc/pip.conf.kept && mv /etc/pip.conf.none /etc/pip.conf")
    try:
        converge(ollama_client_wheelhouse=lab.variables[NAME]["lab_wheelhouse"])
    finally:
        host.check_output("mv /etc/pip.conf.kept /etc/pip.conf")
    assert len(urls(host)) == 2
