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
from lab.testing import Lab, wait_until

Converge = Callable[..., str]

CONVERGE = "molecule/default/converge.yml"
BACK = "The previous release and settings are back, and in use."
ANSWER = "answer | The server answers with the wanted version, and so do its models"
# As a server that others ask, so that there is a guard.
SHARED: dict[str, object] = {"ollama_listen": "[::]:11434", "ollama_allowed_sources": ["192.0.2.1"]}


@pytest.fixture
def converge(lab: Lab) -> Converge:
    """Return a function that runs the role with other values, and returns what was printed."""

    def run(*arguments: str, fails: bool = False, **variables: object) -> str:
        result = lab.playbook(CONVERGE, *arguments, variables=SHARED | variables)
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


def test_archive_that_cannot_be_used_touches_nothing(lab: Lab, server: Server, converge: Converge) -> None:
    before = server.version(), server.unit("InvocationID"), versions(server)
    assert "checksum" in converge(fails=True, ollama_version=lab.releases.wrong_checksum)
    assert server.unit("InvocationID") == before[1]
    assert {name for name in versions(server) if not name.startswith(".")} == before[2]
    assert server.version() == before[0]
    assert server.ask()


def test_version_that_does_not_start_is_taken_back(lab: Lab, server: Server, converge: Converge) -> None:
    before, broken = state(server), lab.releases.broken
    printed = converge(
        fails=True, ollama_version=broken, ollama_start_timeout=8, ollama_environment={"OLLAMA_KEEP_ALIVE": "1m"}
    )
    assert f"Ollama {broken} with this release and these settings did not come up" in printed
    assert BACK in printed
    assert state(server) == before
    assert not server.host.file("/var/lib/gizzi-undo").exists
    assert server.ask()


def test_version_that_loads_no_model_is_taken_back(lab: Lab, server: Server, converge: Converge) -> None:
    """It answers /api/version. The run that switches to it is cut off before it asks the models: the next one does.

    By then nothing answers that could have been asked: what answered before is noted with what must go back.
    """
    if not lab.releases.mute:
        pytest.skip("this build cannot be made to report another version")
    server.ask()
    before = state(server)
    values = {"ollama_version": lab.releases.mute}
    with (
        lab.running(
            CONVERGE,
            variables=SHARED | values,
            hold=ANSWER,
        ) as run,
        run.held(),
    ):
        wait_until(lambda: server.version() == lab.releases.mute, 60, "the other release answers")
        run.kill()
    printed = converge(fails=True, **values)
    assert MODEL in printed
    assert BACK in printed
    assert state(server) == before
    assert server.ask()


def test_setting_with_which_it_does_not_start_is_taken_back(
    lab: Lab, server: Server, stranger: Host, converge: Converge
) -> None:
    rules, before = guard_rules(server.host), state(server)
    assert any(f"dport {PORT}" in rule for rule in rules)
    printed = converge(
        fails=True,
        ollama_version=before.version,
        ollama_listen="[::]:11435",
        ollama_start_timeout=5,
        ollama_systemd_overrides={"Service": {"ExecStartPre": "/bin/false"}},
    )
    assert BACK in printed
    assert state(server) == before
    assert "/bin/false" not in server.unit("ExecStartPre")
    assert server.ask()
    # The guard is back before the server is.
    assert guard_rules(server.host) == rules
    assert reached(stranger, lab.addresses("server")) == set()

    assert " changed=0 " in converge(ollama_version=before.version)


def test_downgrade(lab: Lab, server: Server, converge: Converge, other: str) -> None:
    own, starts = lab.releases.version, server.starts()
    assert server.version() == other
    converge(ollama_metrics_dir="")
    assert (server.version(), server.starts()) == (own, starts + 1)
    assert versions(server) == {own, other, "current"}
    assert server.ask()
    # Metrics that are no longer wanted are gone in the same run.
    metrics = (
        "/etc/systemd/system/ollama-metrics* /usr/local/lib/ollama-metrics* /var/lib/prometheus/node-exporter/*ollama*"
    )
    assert server.host.run(f"ls {metrics}").stdout == ""
    assert not server.host.service("ollama-metrics.timer").is_running


def test_removal_keeps_the_models_and_nothing_else(server: Server, converge: Converge) -> None:
    assert "changed=0" not in converge("--check", ollama_state="absent")
    assert server.ask()

    converge(ollama_state="absent")
    assert traces(server.host, models_kept=True) == []
    assert server.host.file("/var/lib/ollama").listdir() == ["models"]
    assert server.host.check_output("find /var/lib/ollama -not -user root") == ""
    assert " changed=0 " in converge(ollama_state="absent")


def test_first_installation_that_fails_leaves_nothing_running(lab: Lab, server: Server, converge: Converge) -> None:
    # As another package's user would have taken the number that Ollama's had.
    server.host.check_output("useradd --system newcomer")
    printed = converge(fails=True, ollama_version=lab.releases.broken, ollama_start_timeout=5)
    assert "There was no previous release to go back to, and nothing of this one is left." in printed
    assert not server.host.service("ollama").is_running
    assert versions(server) == set()


def test_kept_models_are_used_again(server: Server, converge: Converge) -> None:
    weights = server.host.check_output("stat --format='%%i %%Y' $(find %s/blobs -size +100M)", STORE)
    converge()
    assert server.host.check_output("stat --format='%%i %%Y' $(find %s/blobs -size +100M)", STORE) == weights
    assert server.host.check_output("find %s -not -user ollama", STORE) == ""
    assert server.ask()


def test_removal_of_everything(server: Server, converge: Converge) -> None:
    converge(ollama_state="absent", ollama_keep_models=False)
    assert traces(server.host) == []
