"""From one version to another and back, versions that fail, and removal. The tests run in this order.

0.9.3 and 0.9.4 are one build under two version strings, in the two formats in which Ollama was released over time.
0.9.8 has another checksum than the release says, and the server of 0.9.9 does not start.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host

from lab.ollama import PORT, STORE, guard_rules, reached, traces
from lab.server import Server
from lab.testing import Lab

Converge = Callable[..., str]


@pytest.fixture(scope="module")
def server(fleet: dict[str, Host]) -> Server:
    """Return the server."""
    return Server(fleet["server"])


@pytest.fixture
def converge(lab: Lab) -> Converge:
    """Return a function that runs the role with other values, and returns what was printed."""

    def run(*arguments: str, fails: bool = False, **variables: object) -> str:
        result = lab.playbook("molecule/upgrade/converge.yml", *arguments, variables=variables)
        printed = result.stdout + result.stderr
        assert (result.returncode != 0) is fails, printed
        return " ".join(printed.split())

    return run


def versions(server: Server) -> set[str]:
    """Return what lies in the folder of the versions."""
    return set(server.host.file("/opt/ollama").listdir())


def test_upgrade_restarts_once_and_keeps_the_model(server: Server, converge: Converge) -> None:
    assert server.version() == "0.9.3"
    starts, model = server.starts(), server.digest()

    predicted = converge("--check", ollama_version="0.9.4")
    assert "changed=0" not in predicted
    assert (server.version(), server.starts()) == ("0.9.3", starts)

    converge(ollama_version="0.9.4")
    assert (server.version(), server.starts()) == ("0.9.4", starts + 1)
    assert versions(server) == {"0.9.3", "0.9.4", "current"}
    assert server.digest() == model
    assert server.ask()


@pytest.mark.parametrize(("version", "reason"), [("0.9.8", "checksum"), ("0.9.7", "404")])
def test_archive_that_cannot_be_trusted_touches_nothing(
    server: Server, converge: Converge, version: str, reason: str
) -> None:
    before = server.unit("InvocationID"), versions(server)
    printed = converge(fails=True, ollama_version=version)
    assert reason in printed
    assert server.unit("InvocationID") == before[0]
    assert {name for name in versions(server) if not name.startswith(".")} == before[1]
    assert server.version() == "0.9.4"


def test_pinned_checksum_goes_before_that_of_the_release(server: Server, converge: Converge) -> None:
    before = server.unit("InvocationID")
    assert "checksum" in converge(fails=True, ollama_version="0.9.9", ollama_checksum="0" * 64)
    assert server.unit("InvocationID") == before


def test_version_that_does_not_start_is_taken_back(server: Server, converge: Converge) -> None:
    model, environment = server.digest(), server.host.file("/etc/default/ollama").content_string
    printed = converge(
        fails=True, ollama_version="0.9.9", ollama_start_timeout=8, ollama_environment={"OLLAMA_KEEP_ALIVE": "1m"}
    )
    assert "Ollama 0.9.9 with these settings did not come up" in printed
    assert "The earlier version and configuration are back, and 0.9.4 answers" in printed
    assert server.version() == "0.9.4"
    assert server.host.file("/etc/default/ollama").content_string == environment
    assert versions(server) == {"0.9.3", "0.9.4", "current"}
    assert server.host.run("find /etc -name '*ollama*~'").stdout == ""
    assert server.digest() == model
    assert server.ask()

    assert " changed=0 " in converge(ollama_version="0.9.4")


def test_setting_with_which_it_does_not_start_is_taken_back(
    lab: Lab, server: Server, stranger: Host, converge: Converge
) -> None:
    rules = guard_rules(server.host)
    assert any(f"--dport {PORT}" in rule for rule in rules)
    printed = converge(
        fails=True,
        ollama_version="0.9.4",
        ollama_listen="[::]:11435",
        ollama_start_timeout=5,
        ollama_systemd_overrides={"Service": {"MemoryDenyWriteExecute": True}},
    )
    assert "The earlier version and configuration are back, and 0.9.4 answers" in printed
    assert server.unit("MemoryDenyWriteExecute") == "no"
    assert server.ask()
    # The guard is back before the server is.
    assert guard_rules(server.host) == rules
    assert reached(stranger, lab.addresses("server")) == set()


def test_downgrade(server: Server, converge: Converge) -> None:
    starts = server.starts()
    converge(ollama_version="0.9.3")
    assert (server.version(), server.starts()) == ("0.9.3", starts + 1)
    assert versions(server) == {"0.9.3", "0.9.4", "current"}
    assert server.ask()


def test_removal_keeps_the_models_and_nothing_else(server: Server, converge: Converge) -> None:
    assert "changed=0" not in converge("--check", ollama_state="absent")
    assert server.ask()

    converge(ollama_state="absent")
    assert traces(server.host, models_kept=True) == []
    assert server.host.file("/var/lib/ollama").listdir() == ["models"]
    assert server.host.check_output("find /var/lib/ollama -not -user root") == ""
    assert " changed=0 " in converge(ollama_state="absent")
    assert " changed=0 " in converge("--check", ollama_state="absent")


def test_kept_models_are_used_again(server: Server, converge: Converge) -> None:
    weights = server.host.check_output("stat --format='%%i %%Y' $(find %s/blobs -size +100M)", STORE)
    # As another package's user would have taken the number that Ollama's had.
    server.host.check_output("useradd --system newcomer")
    converge()
    assert server.host.check_output("stat --format='%%i %%Y' $(find %s/blobs -size +100M)", STORE) == weights
    assert server.host.check_output("find %s -not -user ollama", STORE) == ""
    assert server.ask()


def test_removal_of_everything(server: Server, converge: Converge) -> None:
    # A trace that an earlier run which was cut off may have left.
    server.host.check_output("cp /etc/default/ollama /etc/default/ollama.1234.2026-01-01@00:00:00~")
    converge(ollama_state="absent", ollama_keep_models=False)
    assert traces(server.host) == []
    assert server.host.run("ls -d /etc/default/ollama*").stdout == ""
    assert " changed=0 " in converge(ollama_state="absent", ollama_keep_models=False)


def test_first_installation_that_fails_leaves_nothing_running(server: Server, converge: Converge) -> None:
    printed = converge(fails=True, ollama_version="0.9.9", ollama_start_timeout=5)
    assert "There was no earlier version to go back to, and the service is stopped" in printed
    assert not server.host.service("ollama").is_running
    assert versions(server) == set()

    converge()
    assert server.version() == "0.9.3"
