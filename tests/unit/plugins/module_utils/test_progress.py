# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._progress import (
    PullError,
    PullProgress,
    StalledError,
    StallWatch,
)


class Clock:
    """Time goes on by one second with every line."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def ticking(self, lines: list[dict[str, Any]]) -> Any:
        for line in lines:
            self.now += 1
            yield line


def pull(lines: list[dict[str, Any]], stall_timeout: float = 3, timeout: float = 1000) -> int:
    clock = Clock()
    return PullProgress(StallWatch(stall_timeout, timeout, "the pull", clock)).follow(clock.ticking(lines))


def at(digest: str, completed: int | None, status: str = "") -> dict[str, Any]:
    line = {"status": status or f"pulling {digest}", "digest": digest, "total": 100}
    return line if completed is None else {**line, "completed": completed}


SUCCESS = {"status": "success"}


def test_bytes_that_moved() -> None:
    there_already, resumed, new = [at("a", 100)], [at("b", 40), at("b", 100)], [at("c", None), at("c", 100)]
    assert pull([*there_already, *resumed, *new, SUCCESS]) == 60 + 100


def test_a_repeated_line_is_no_progress() -> None:
    with pytest.raises(StalledError, match="no progress for 3 s"):
        pull([at("a", 50)] * 10)


def test_a_status_that_comes_again_is_no_progress() -> None:
    with pytest.raises(StalledError):
        pull([at("a", 50), at("b", 50)] * 5)


def test_progress_after_a_part_was_taken_back_is_progress() -> None:
    assert pull([at("a", 90), *(at("a", done) for done in range(10, 100, 10)), at("a", 100), SUCCESS]) == 10


def test_fetching_the_same_bytes_for_ever_is_no_progress() -> None:
    climb = [at("a", done) for done in (10, 50, 90)]
    with pytest.raises(StalledError, match="no progress for 3 s"):
        pull(climb * 100)
    assert pull([*climb * 3, at("a", 100), *climb * 3, at("a", 100), SUCCESS]) == 90


def test_bytes_of_any_layer_are_progress() -> None:
    lines = [line for done in range(0, 101, 10) for line in (at("a", 50), at("b", done))]
    assert pull([*lines, SUCCESS]) == 100


def test_a_layer_that_is_being_written_out_is_no_stall() -> None:
    assert pull([at("a", 0), *[at("a", 100)] * 20, SUCCESS]) == 100
    with pytest.raises(StalledError, match="longer than 9 s"):
        pull([at("a", 0), *[at("a", 100)] * 20, SUCCESS], timeout=9)


@pytest.mark.parametrize("status", ["verifying sha256 digest", "writing manifest", "removing unused layers"])
def test_only_the_whole_limits_work_on_the_servers_own_disk(status: str) -> None:
    clock = Clock()
    watch = StallWatch(3, 1000, "the pull", clock)

    def lines() -> Any:
        assert watch.silence() == 3
        yield at("a", 100)
        yield {"status": status}
        assert watch.silence() == 1000
        clock.now += 900
        assert watch.silence() == 100
        yield at("b", 10)
        assert watch.silence() == 3
        clock.now += 4
        yield at("b", 10)

    with pytest.raises(StalledError, match="no progress for 3 s"):
        PullProgress(watch).follow(lines())


def test_the_last_silence_ends_with_the_whole() -> None:
    clock = Clock()
    watch = StallWatch(3, 10, "the pull", clock)
    clock.now = 9
    assert watch.silence() == 1
    clock.now = 10
    assert 0 < watch.silence() < 0.01
    with pytest.raises(StalledError, match="longer than 10 s"):
        watch.check()


def test_limit_of_the_whole() -> None:
    with pytest.raises(StalledError, match="longer than 5 s"):
        pull([at("a", done) for done in range(10)], timeout=5)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([{"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}], "does not exist"),
        ([{"status": "pulling manifest"}], "broke off after 'pulling manifest'"),
        ([], "broke off after ''"),
        ([SUCCESS, {"status": "writing manifest"}], "broke off"),
    ],
)
def test_only_success_is_success(lines: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(PullError, match=reason):
        pull(lines)
