"""Servers that take turns do so in the inventory's order, however a group of them came about."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from plays import PROJECT, RunPlay


def plays_with_turns() -> list[Any]:
    """Return every play of the playbooks with ``serial``."""
    paths = sorted((PROJECT / "playbooks").glob("*.yml"))
    return [
        pytest.param(play, id=f"{path.stem}: {play['name']}")
        for path in paths
        for play in yaml.safe_load(path.read_text(encoding="utf-8"))
        if "serial" in play
    ]


@pytest.mark.parametrize("play", plays_with_turns())
def test_turns_are_taken_in_the_inventorys_order(run_play: RunPlay, play: dict[str, Any]) -> None:
    group = re.findall(r"\w+", play["hosts"])[-1]
    hosts = {name: {} for name in ("v1", "v2", "v3", "v4")}
    inventory = {
        "validators": {"hosts": hosts},
        "ollama_servers": {"hosts": {"v1": {}}},
        # As the answers came in.
        group: {"hosts": {"v4": {}, "v2": {}, "v3": {}}},
    }
    turns = {"hosts": play["hosts"], "serial": 1, "tasks": [{"ansible.builtin.debug": {"msg": "It is my turn."}}]}
    printed = run_play(turns, inventory).stdout
    assert re.findall(r"^ok: \[(v\d)\]", printed, re.M) == ["v2", "v3", "v4"], printed
