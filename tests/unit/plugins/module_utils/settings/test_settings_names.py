# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables that would do nothing are named, and those of others are let alone."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._names import unknown
from ansible_collections.etrid.gizzi.plugins.plugin_utils._settings import known_names

KNOWN = known_names()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ollama_modles", "ollama_modles is not known, and would do nothing. Do you mean ollama_models"),
        ("gizzi_api_prometheus_job", "Do you mean gizzi_api_prometheus_url or "),
        ("gateway_token_secrets", "Do you mean gateway_token_secret?"),
        ("gizzi_zebra", "gizzi_zebra is not known, and would do nothing. If an earlier release had it, the changelog"),
    ],
)
def test_unknown(name: str, said: str) -> None:
    (problem,) = unknown({name: 1, "ollama_models": []}, KNOWN)
    assert said in problem
    assert problem.endswith("If it is a variable of your own, let it begin with something else.")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gateway_mac", "00:00:5e:00:53:01"),
        ("__ollama_modles", 1),
        ("_ollama_modles", 1),
        ("my_ollama_modles", 1),
        ("ollama_modles", {"changed": False, "failed": False, "models": []}),
        ("ansible_host", "x"),
    ],
)
def test_of_others(name: str, value: Any) -> None:
    assert unknown({name: value}, KNOWN) == []


def test_every_variable_of_the_collection_is_known() -> None:
    assert {"ollama_models", "gizzi_topology", "gateway_state", "model_update_timer_state"} <= KNOWN
    assert unknown(dict.fromkeys(KNOWN), KNOWN) == []
