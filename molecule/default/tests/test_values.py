"""Values: wrong ones are refused before anything changes, others arrive whole, and unchanged ones change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.server import Server
from lab.testing import Lab

# Every character that systemd or a shell could take for its own.
SECRET = """two words, 100% $HOME `id` "double" 'single' back\\slash # ü"""


def test_second_run_changes_nothing_and_needs_no_network(
    server: Server, requests: Callable[[], list[dict[str, Any]]], converge: Callable[..., str]
) -> None:
    converge()
    requests()
    before = server.unit("InvocationID")
    assert " changed=0 " in converge()
    assert server.unit("InvocationID") == before
    assert requests() == []


def test_restart_that_a_run_did_not_reach_is_made_up_for(server: Server, converge: Callable[..., str]) -> None:
    """As after a run that was cut off between writing the drop-in and its handler."""
    before = server.unit("InvocationID")
    server.host.check_output("touch /etc/systemd/system/ollama.service.d/override.conf")
    converge()
    after = server.unit("InvocationID")
    assert after != before
    converge()
    assert server.unit("InvocationID") == after


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"ollama_state": "there"}, "value of ollama_state must be one of: present, absent, got: there"),
        ({"ollama_models": [{"nam": "mistral"}]}, "missing required arguments: name found in ollama_models"),
        (
            {
                "ollama_version": "v0.34.2",
                "ollama_listen": "127.0.0.1",
                "ollama_models_dir": "/",
                "ollama_memory_max": "12GB",
                "ollama_environment": {"OLLAMA_HOST": "0.0.0.0", "TWO": "lines\nhere"},
                "ollama_systemd_overrides": {"Service": {"CPUQuota": "100%"}},
                "ollama_cpu_threads": 2,
                "ollama_models": [
                    {"name": "mistral", "system": "Hello"},
                    {"name": "here/there/own", "from": "phi3", "state": "latest", "parameters": {"num_thread": 3}},
                ],
            },
            "Write it in quotes and without a v | Write an address and a port | Name an absolute path | "
            'Write it as "12G" | Set ollama_listen instead | is not one line of text | Set ollama_cpu_threads | '
            "0 with a version older than 0.30.0 | sets system for a model that is pulled | "
            "makes a model from phi3, which it does not pull itself | makes here/there/own from another model, but | "
            "no digest and no state latest | ollama_cpu_threads of the role sets",
        ),
        (
            {
                "ollama_version": "0.34.1",
                "ollama_minimum_version": "0.99.0",
                "ollama_models": [{"name": "phi3"}, {"name": "own", "from": "phi3", "adapter": "/srv/adapter.gguf"}],
            },
            'To run it all the same, set ollama_minimum_version to "0.34.1" | Ollama 0.34.1 makes no models with one',
        ),
        ({"ollama_reserved_memory": 10**15}, "choose a smaller model"),
        ({"ollama_listen": "[::]:11434", "ollama_allowed_sources": ["validator01"]}, "validator01"),
    ],
)
def test_wrong_value_is_refused_before_anything_changes(
    server: Server, converge: Callable[..., str], values: dict[str, object], said: str
) -> None:
    state = "stat --format='%n %y %Z' /opt/ollama /opt/ollama/current /etc/default/ollama /etc/systemd/system/ollama*"
    before = server.host.check_output(state), server.unit("InvocationID")
    printed = " ".join(converge(fails=True, **values).split())
    for part in said.split(" | "):
        assert part in printed
    assert "changed=0" in printed
    assert (server.host.check_output(state), server.unit("InvocationID")) == before


@pytest.mark.usefixtures("restored")
def test_environment_arrives_whole_and_stays_secret(lab: Lab, server: Server, converge: Callable[..., str]) -> None:
    printed = converge(
        "-vvv",
        "--diff",
        ollama_environment=lab.variables["server"].get("ollama_environment", {}) | {"GIZZI_SECRET": SECRET},
        ollama_models_dir="/srv/ollama/models",
        ollama_models=[],
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
