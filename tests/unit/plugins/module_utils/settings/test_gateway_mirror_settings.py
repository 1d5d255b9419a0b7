# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._gateway_mirror import (
    mirror_derived,
    mirror_problems,
)

GIVEN: dict[str, Any] = {
    "mirror_sources": ["192.0.2.2", "2001:db8::/64"],
    "mirror_models": ["mistral:7b", "hf.co/somebody/model:Q4"],
    "mirror_models_dir": "/var/lib/ollama/models",
    "mirror_rate": 100_000_000,
}


def test_what_the_template_gets() -> None:
    assert mirror_problems(GIVEN) == []
    assert mirror_derived(GIVEN) == {
        "port": 11444,
        "models_dir": "/var/lib/ollama/models",
        "models": [
            {"path": "library/mistral/manifests/7b", "file": "registry.ollama.ai/library/mistral/7b"},
            {"path": "somebody/model/manifests/Q4", "file": "hf.co/somebody/model/Q4"},
        ],
        "answers": 20,
        "rate": 5_000_000,
    }


def test_without_anybody_to_serve_there_is_none() -> None:
    none = {**GIVEN, "mirror_sources": [], "mirror_rate": -1}
    assert mirror_problems(none) == []
    assert mirror_derived(none) == {}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"mirror_sources": ["validator02"]}, "gateway_mirror_sources: "),
        ({"mirror_rate": 5000}, "gateway_mirror_rate is 5000"),
        ({"mirror_rate": -1}, "gateway_mirror_rate is -1"),
        ({"mirror_models_dir": "models"}, "gateway_mirror_models_dir is 'models'"),
        ({"mirror_models_dir": "/srv/a;b"}, "gateway_mirror_models_dir is '/srv/a;b'"),
        ({"mirror_models_dir": "/srv/a\nb"}, "gateway_mirror_models_dir is "),
        ({"mirror_models": ["mis tral"]}, "gateway_mirror_models: 'mis tral' is not a model name"),
        ({"mirror_models": ["mistral", "mistral:latest"]}, "under one path of the mirror"),
        ({"mirror_models": ["a/mistral", "hf.co/a/mistral"]}, "under one path of the mirror"),
    ],
)
def test_problems_name_the_value(changed: dict[str, Any], reason: str) -> None:
    (problem,) = mirror_problems({**GIVEN, **changed})
    assert reason in problem
