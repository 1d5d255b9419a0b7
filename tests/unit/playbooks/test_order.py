"""Servers take turns in the inventory's order, however a group of them came about, and in batches that grow."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from plays import PROJECT, RunPlay

TURN = {"ansible.builtin.debug": {"msg": "It is my turn."}}


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
    (group,) = re.findall(r"&(\w+)", play["hosts"])
    hosts = {name: {} for name in ("v1", "v2", "v3", "v4")}
    inventory = {
        "validators": {"hosts": hosts},
        "ollama_servers": {"hosts": {"v1": {}}},
        # As the answers came in.
        group: {"hosts": {"v4": {}, "v2": {}, "v3": {}}},
    }
    printed = run_play({"hosts": play["hosts"], "serial": 1, "tasks": [TURN]}, inventory).stdout
    assert re.findall(r"^ok: \[(v\d)\]", printed, re.M) == ["v2", "v3", "v4"], printed


def test_batches_after_the_canary_grow(run_play: RunPlay) -> None:
    """By the update's own expression and default."""
    plays = yaml.safe_load((PROJECT / "playbooks/model_update.yml").read_text(encoding="utf-8"))
    (rest,) = [play for play in plays if "serial" in play]
    note = {
        "hosts": "validators",
        "tasks": [{"etrid.gizzi.settings": {"role": "model_update"}, "register": "__update", "run_once": True}],
    }
    turns = {"hosts": rest["hosts"], "serial": rest["serial"], "tasks": [TURN]}
    servers: dict[str, Any] = {f"v{number}": {} for number in range(2, 22)}
    inventory = {"validators": {"hosts": {"v1": {}, **servers}}, "gizzi_update_rest": {"hosts": servers}}
    printed = run_play([note, turns], inventory).stdout
    batches = [len(re.findall(r"^ok: \[v\d+\]", batch, re.M)) for batch in printed.split("PLAY [")[2:]]
    assert batches == [1, 5, 14], printed
