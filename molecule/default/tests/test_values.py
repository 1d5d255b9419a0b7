"""Values: wrong ones are refused before anything changes, others arrive whole, and unchanged ones change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.ollama import STORE
from lab.server import Server
from lab.testing import Lab

CONVERGE = "molecule/default/converge.yml"
METRICS = "/var/lib/prometheus/node-exporter"
# Every character that systemd or a shell could take for its own.
SECRET = """two words, 100% $HOME `id` "double" 'single' back\\slash # ü"""


@pytest.mark.usefixtures("restored")
def test_restart_that_a_run_did_not_reach_is_made_up_for_and_then_nothing_is_done(
    lab: Lab, server: Server, requests: Callable[[], list[dict[str, Any]]], converge: Callable[..., str]
) -> None:
    """The run that writes the files is cut off before the restart: the next one finds them as they should be."""
    values = {"ollama_environment": lab.variables["server"].get("ollama_environment", {}) | {"GIZZI_NEW": "1"}}
    before = server.unit("InvocationID")
    with (
        lab.running(CONVERGE, variables=values, hold="service | Restart or reload once if anything has changed") as run,
        run.held(),
    ):
        run.kill()
    assert server.unit("InvocationID") == before
    converge(**values)
    after = server.unit("InvocationID")
    assert after != before
    assert "GIZZI_NEW=1" in server.host.file(f"/proc/{server.unit('MainPID')}/environ").content_string.split("\0")
    requests()
    assert " changed=0 " in converge(**values)
    assert server.unit("InvocationID") == after
    # Nor does it need the network.
    assert requests() == []


@pytest.fixture
def linked_store(server: Server) -> Iterator[str]:
    """Put a link in the place of the store, as the user ollama can in its home, and return where it leads."""
    server.host.check_output(f"mv {STORE} {STORE}.aside && ln -s /etc {STORE}")
    yield "/etc"
    server.host.check_output(f"rm {STORE} && mv {STORE}.aside {STORE}")


def test_root_follows_no_link_of_the_servers(server: Server, converge: Callable[..., str], linked_store: str) -> None:
    for state in ("present", "absent"):
        printed = " ".join(converge(fails=True, ollama_state=state).split())
        assert f"on the host {STORE} is a link to {linked_store}" in printed
    owner = server.host.check_output("stat --format='%U %G %a' /etc")
    assert owner == "root root 755"


def test_wrong_values_are_refused_before_anything_changes(server: Server, converge: Callable[..., str]) -> None:
    state = "stat --format='%n %y %Z' /opt/ollama /opt/ollama/current /etc/default/ollama /etc/systemd/system/ollama*"
    before = server.host.check_output(state), server.unit("InvocationID")
    printed = converge(
        fails=True,
        ollama_version="v0.34.2",
        ollama_listen="127.0.0.1",
        ollama_models_dir="/",
        ollama_environment={"OLLAMA_HOST": "0.0.0.0", "TWO": "lines\nhere"},
        ollama_models=[{"name": "mistral", "system": "Hello"}],
    )
    for said in (
        "Write it in quotes and without a v",
        "Write an address and a port",
        "Name an absolute path",
        "Set ollama_listen instead",
        "is not one line of text",
        "sets system for a model that is pulled",
    ):
        assert said in " ".join(printed.split())
    assert "changed=0" in printed
    assert (server.host.check_output(state), server.unit("InvocationID")) == before


@pytest.mark.usefixtures("restored")
def test_environment_arrives_whole_and_stays_secret(lab: Lab, server: Server, converge: Callable[..., str]) -> None:
    server.host.check_output("mkdir -p /srv/metrics")
    printed = converge(
        "-vvv",
        "--diff",
        ollama_environment=lab.variables["server"].get("ollama_environment", {}) | {"GIZZI_SECRET": SECRET},
        ollama_models_dir="/srv/ollama/models",
        ollama_models=[],
        ollama_metrics_dir="/srv/metrics",
    )
    environment = server.host.file(f"/proc/{server.unit('MainPID')}/environ").content_string.split("\0")
    assert f"GIZZI_SECRET={SECRET}" in environment
    assert "OLLAMA_NO_CLOUD=1" in environment
    assert "OLLAMA_MODELS=/srv/ollama/models" in environment
    assert "two words" not in printed
    assert server.host.run("systemctl show ollama.service | grep -F 'two words'").rc == 1
    # The store outside the home is there and can be written to.
    assert server.host.file("/srv/ollama/models/blobs").is_directory
    assert server.api("/api/tags") == {"models": []}
    # The metrics have moved.
    assert server.host.run(f"ls -A {METRICS} | grep ollama").stdout == ""
    server.host.check_output("systemctl start ollama-metrics.service")
    assert "\nollama_up 1\n" in server.host.file("/srv/metrics/ollama.prom").content_string
