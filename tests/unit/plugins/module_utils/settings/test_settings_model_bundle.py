# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._settings.model_bundle import (
    host_derived,
    host_problems,
    problems,
)

MODELS = [{"name": "mistral", "state": "present"}, {"name": "own", "from": "mistral", "state": "present"}]
ABOUT = {name: {"models": MODELS, "ollama": {"models_dir": f"/srv/{name}"}} for name in ("v1", "v2")}
FLEET: dict[str, Any] = {"servers": ["v1", "v2"], "gizzi": "v2", "hosts": ["v1", "v2"], "about": ABOUT}


def chosen(host: str = "", **fleet: Any) -> dict[str, Any]:
    values, known = {"host": host}, {**FLEET, **fleet}
    assert host_problems(values, known) == []
    return host_derived(values, known)


def test_the_gizzi_host_or_the_first_server_or_the_named_one() -> None:
    assert chosen() == {"host": "v2", "models": ["mistral"], "models_dir": "/srv/v2"}
    assert chosen(gizzi="v3")["host"] == "v1"
    assert chosen("v1")["models_dir"] == "/srv/v1"


@pytest.mark.parametrize(
    ("host", "fleet", "said"),
    [
        ("v3", {}, "model_bundle_host is v3, which is no server. It must be one of v1, v2."),
        ("", {"hosts": ["v1"]}, "come from v2, which is not among the hosts of this run (v1). Give another --limit"),
        ("", {"about": {"v2": {"models": MODELS[1:]}}}, "ollama_models of v2 has no model that is pulled"),
    ],
)
def test_what_does_not_fit_the_fleet(host: str, fleet: dict[str, Any], said: str) -> None:
    (problem,) = host_problems({"host": host}, {**FLEET, **fleet})
    assert said in problem


@pytest.mark.parametrize("path", ["", None, "models.tar", "/srv/"])
def test_a_path_that_is_not_whole(path: str | None) -> None:
    (problem,) = problems({"file": path})
    assert "model_bundle_file is" in problem
    assert "Write the whole path of a file on the control host, such as /srv/models.tar" in problem


def test_a_path() -> None:
    assert problems({"file": "/srv/models.tar"}) == []
