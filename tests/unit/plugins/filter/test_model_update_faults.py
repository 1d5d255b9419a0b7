# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.filter.model_update_faults import model_update_faults


def golden(rate: float, speed: float | None, *failures: tuple[str, str]) -> dict[str, Any]:
    return {
        "pass_rate": rate,
        "tokens_per_second": speed,
        "failures": [{"name": name, "answer": answer, "reason": "not as wanted"} for name, answer in failures],
    }


@pytest.mark.parametrize(
    ("after", "before"),
    [
        (golden(1, 10), golden(1, 10)),
        (golden(1, 7), golden(1, 10)),
        (golden(0.5, 20, ("a", "x")), golden(0.5, 10, ("b", "x"))),
        (golden(0.75, 10, ("a", "x")), golden(0.5, 10, ("a", "x"), ("b", "x"))),
        # A server that gives no durations gives none before either.
        (golden(1, None), golden(1, None)),
        (golden(1, 1), golden(0, None, ("a", ""))),
    ],
)
def test_no_worse(after: dict[str, Any], before: dict[str, Any]) -> None:
    assert model_update_faults(after, before, 0.7) == []


def test_fewer_good_answers_are_told_with_the_new_bad_one() -> None:
    after = golden(0.5, 10, ("known", "x"), ("new", "!!!!"))
    (fault,) = model_update_faults(after, golden(0.75, 10, ("known", "x")), 0.7)
    assert fault.startswith("50% of the golden prompts are answered well, 75% were: 'new': not as wanted, it is '!!!!'")
    assert "known" not in fault


def test_slower_than_the_share_is_told_with_figures() -> None:
    (fault,) = model_update_faults(golden(1, 6.9), golden(1, 10), 0.7)
    assert fault == "too slow: 6.90 tokens/s, at least 7.00 are wanted (0.7 of the 10.00 before)"


def test_a_speed_that_cannot_be_measured_any_more_is_a_fault() -> None:
    assert model_update_faults(golden(1, None), golden(1, 10), 0.7) == ["its speed could not be measured"]


def test_all_faults_are_told() -> None:
    assert len(model_update_faults(golden(0, 1, ("a", "")), golden(1, 10), 0.7)) == 2
