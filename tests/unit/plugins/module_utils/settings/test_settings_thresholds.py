# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The thresholds of both roles are one set of values, specified once."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.tests.unit.plugins.judging import judge as judge_role

VALIDATORS = [{"number": 1, "name": "one", "address": "192.0.2.1"}]


def judge(role: str, thresholds: Any) -> tuple[Any, list[str]]:
    given = {f"{role}_thresholds": thresholds} if thresholds is not None else {}
    values, problems = judge_role(role, {"gizzi_api_validators": VALIDATORS} | given)
    return values["thresholds"], problems


@pytest.mark.parametrize("thresholds", [None, {}, {"max_lag": "7"}, {"stale_seconds": 5, "stall_seconds": 3}])
def test_the_client_has_those_of_the_api(thresholds: Any) -> None:
    api, problems = judge("gizzi_api", thresholds)
    assert problems == []
    assert judge("ollama_client", thresholds) == (api, [])
    assert set(api) == {"max_lag", "max_finality_lag", "min_peers", "stall_seconds", "stale_seconds"}


@pytest.mark.parametrize("role", ["gizzi_api", "ollama_client"])
def test_an_unknown_threshold_is_named_by_the_variable_that_has_it(role: str) -> None:
    (problem,) = judge(role, {"max_lags": 3})[1]
    assert problem.startswith(f"{role}_thresholds has the key 'max_lags', which is unknown. Its keys are max_lag, ")
