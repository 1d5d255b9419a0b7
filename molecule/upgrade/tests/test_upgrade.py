"""From one version to another and back, versions that fail, and removal. The tests run in this order.

The lab's releases are one build under several versions, each with a fault of its own: see lab.artifacts.versions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from testinfra.host import Host

from lab.ollama import MODEL, PORT, STORE, guard_rules, reached, traces
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


@pytest.fixture
def other(lab: Lab) -> str:
    """Return the version of the same build under another one."""
    if not lab.releases.renamed:
        pytest.skip("this build cannot be made to report another version")
    return lab.releases.renamed


def versions(server: Server) -> set[str]:
    """Return what lies in the folder of the versions."""
    return set(server.host.file("/opt/ollama").listdir())


@dataclass(frozen=True)
class State:
    """What a change that is taken back must leave as it was."""

    version: str
    releases: set[str]
    environment: str
    digest: str | None


def state(server: Server) -> State:
    environment = server.host.file("/etc/default/ollama").content_string
    return State(server.version(), versions(server), environment, server.digest())


def test_upgrade_restarts_once_and_keeps_the_model(lab: Lab, server: Server, converge: Converge, other: str) -> None:
    own = lab.releases.version
    assert server.version() == own
    starts, model = server.starts(), server.digest()

    predicted = converge("--check", ollama_version=other)
    assert "changed=0" not in predicted
    assert (server.version(), server.starts()) == (own, starts)

    converge(ollama_version=other)
    assert (server.version(), server.starts()) == (other, starts + 1)
    assert versions(server) == {own, other, "current"}
    assert server.digest() == model
    assert server.ask()


@pytest.mark.parametrize(
    ("kind", "reason"), [("wrong_checksum", "checksum"), ("missing", "404"), ("partless", "llama-server")]
)
def test_archive_that_cannot_be_used_touches_nothing(
    lab: Lab, server: Server, converge: Converge, kind: str, reason: str
) -> None:
    before = server.version(), server.unit("InvocationID"), versions(server)
    printed = converge(fails=True, ollama_version=getattr(lab.releases, kind))
    assert reason in printed
    assert server.unit("InvocationID") == before[1]
    assert {name for name in versions(server) if not name.startswith(".")} == before[2]
    assert server.version() == before[0]
    assert server.ask()


def test_pinned_checksum_goes_before_that_of_the_release(lab: Lab, server: Server, converge: Converge) -> None:
    before = server.unit("InvocationID")
    assert "checksum" in converge(fails=True, ollama_version=lab.releases.broken, ollama_checksum="0" * 64)
    assert server.unit("InvocationID") == before


def test_version_that_does_not_start_is_taken_back(lab: Lab, server: Server, converge: Converge) -> None:
    before, broken = state(server), lab.releases.broken
    printed = converge(
        fails=True, ollama_version=broken, ollama_start_timeout=8, ollama_environment={"OLLAMA_KEEP_ALIVE": "1m"}
    )
    assert f"Ollama {broken} with these settings did not come up" in printed
    assert f"The earlier version and configuration are back, and {before.version} answers" in printed
    assert state(server) == before
    assert server.host.run("find /etc -name '*ollama*~'").stdout == ""
    assert server.ask()

    assert " changed=0 " in converge(ollama_version=before.version)


def test_version_that_loads_no_model_is_taken_back(lab: Lab, server: Server, converge: Converge) -> None:
    """It answers /api/version. The run that switches to it is cut off before it asks the models: the next one does."""
    if not lab.releases.mute:
        pytest.skip("this build cannot be made to report another version")
    server.ask()
    before = state(server)
    values = {"ollama_version": lab.releases.mute}
    with (
        lab.running(
            "molecule/upgrade/converge.yml",
            variables=values,
            hold="service | Ask the models that answered before",
        ) as run,
        run.held(),
    ):
        assert server.version() == lab.releases.mute
        run.kill()
    printed = converge(fails=True, **values)
    assert MODEL in printed
    assert f"{before.version} answers" in printed
    assert state(server) == before
    assert server.ask()


def test_setting_with_which_it_does_not_start_is_taken_back(
    lab: Lab, server: Server, stranger: Host, converge: Converge
) -> None:
    rules, before = guard_rules(server.host), state(server)
    assert any(f"--dport {PORT}" in rule for rule in rules)
    printed = converge(
        fails=True,
        ollama_version=before.version,
        ollama_listen="[::]:11435",
        ollama_start_timeout=5,
        ollama_systemd_overrides={"Service": {"ExecStartPre": "/bin/false"}},
    )
    assert f"The earlier version and configuration are back, and {before.version} answers" in printed
    assert state(server) == before
    assert "/bin/false" not in server.unit("ExecStartPre")
    assert server.ask()
    # The guard is back before the server is.
    assert guard_rules(server.host) == rules
    assert reached(stranger, lab.addresses("server")) == set()


def test_downgrade(lab: Lab, server: Server, converge: Converge, other: str) -> None:
    own, starts = lab.releases.version, server.starts()
    assert server.version() == other
    converge()
    assert (server.version(), server.starts()) == (own, starts + 1)
    assert versions(server) == {own, other, "current"}
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


def test_first_installation_that_fails_leaves_nothing_running(lab: Lab, server: Server, converge: Converge) -> None:
    printed = converge(fails=True, ollama_version=lab.releases.broken, ollama_start_timeout=5)
    assert "There was no earlier version to go back to, and the service is stopped" in printed
    assert not server.host.service("ollama").is_running
    assert versions(server) == set()

    converge()
    assert server.version() == lab.releases.version
