"""A derived model: asked like any other, and made anew when its definition or its base has changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.ollama import MODEL
from lab.server import Server

DERIVED = "etrid-validator:latest"
BASE = "base:1b"
PIRATE = "You are a pirate. Answer every question with the word Arr."


def make(server: Server, check: bool = False, name: str = DERIVED, **definition: Any) -> dict[str, Any]:
    """Run the module on the host, as a task would, and return its result."""
    arguments = json.dumps({"name": name, "from": MODEL} | definition)
    result = dict(server.host.ansible("etrid.gizzi.ollama_derived_model", arguments, check=check, become=True))
    assert "model" in result, result["msg"]
    return result


@pytest.fixture
def base(server: Server) -> Iterator[str]:
    """Make a base whose content the test may change, and take it and what is in memory away again."""
    make(server, name=BASE)
    yield BASE
    server.api("/api/delete", {"model": BASE}, "--request", "DELETE")
    server.api("/api/generate", {"model": DERIVED, "keep_alive": 0})


def test_role_has_made_it(server: Server) -> None:
    shown = server.api("/api/show", {"model": DERIVED})
    assert shown["system"] == PIRATE
    assert {"num_ctx 512", "num_thread 1"} <= {" ".join(line.split()) for line in shown["parameters"].splitlines()}
    assert shown["template"] == server.api("/api/show", {"model": MODEL})["template"]


@pytest.mark.usefixtures("base")
def test_definition_and_base_change(server: Server) -> None:
    """All in one: each step is what the next one starts from."""
    by_role = server.digest(DERIVED)
    assert "Paris" in server.ask(DERIVED)

    changed = {"from": BASE, "system": "You know geography.", "parameters": {"num_ctx": 512, "stop": "Paris"}}
    predicted = make(server, check=True, **changed)
    assert (predicted["changed"], predicted["reasons"]) == (True, ["system", "parameters"])
    assert server.digest(DERIVED) == by_role
    made = make(server, **changed)
    assert (made["changed"], made["digest_before"], made["digest_after"]) == (True, by_role, server.digest(DERIVED))
    assert "Paris" not in server.ask(DERIVED)
    assert not make(server, **changed)["changed"]

    make(server, name=BASE, parameters={"top_k": 7})
    moved = make(server, **changed)
    assert (moved["changed"], moved["reasons"]) == (True, ["parameters"])

    # The same content is the same model.
    make(server, system=PIRATE, parameters={"num_ctx": 512})
    assert server.digest(DERIVED) == by_role


def test_failure_leaves_it(server: Server) -> None:
    before = server.digest(DERIVED)
    with pytest.raises(AssertionError, match="template error"):
        make(server, template="{% raw %}{{ if }{% endraw %}")
    assert server.digest(DERIVED) == before
