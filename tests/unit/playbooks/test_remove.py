"""What the removal asks before it contacts any host."""

from __future__ import annotations

import yaml
from plays import PROJECT, RunPlay

FLEET = {"validators": {"hosts": {"v1": {}, "v2": {}}}, "gizzi": {"hosts": {"v1": {}}}}


def test_a_removal_that_nobody_has_confirmed(run_play: RunPlay) -> None:
    asking = yaml.safe_load((PROJECT / "playbooks/remove.yml").read_text())[0]
    refused = run_play(asking, FLEET)
    assert refused.returncode != 0
    assert "from 2 hosts: v1, v2" in " ".join(refused.stdout.split())
    assert "gizzi_confirm_removal=true" in refused.stdout
    assert run_play(asking, FLEET, gizzi_confirm_removal=True).returncode == 0
