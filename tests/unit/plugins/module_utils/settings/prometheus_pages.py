# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus' answers as module host_state returns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTS = ("up", "best", "finalized", "peers", "syncing")


class Pages(dict[str, Any]):
    """Section ``urls``: the answer to any query, and the configuration."""

    def __init__(self, answer: Any, config: Any = None) -> None:
        super().__init__()
        self.answer, self.config = answer, config

    def __missing__(self, url: str) -> Any:
        return self.config if url.endswith("/api/v1/status/config") else self.answer


def answer(series: list[dict[str, Any]]) -> dict[str, Any]:
    """Return Prometheus' answer with some series."""
    data = {"status": "success", "data": {"resultType": "vector", "result": series}}
    return {"status": 200, "json": data}


def series(number: str, without: tuple[str, ...] = (), up: str = "1", label: str = "validator") -> list[dict[str, Any]]:
    """Return what the query gives for one validator."""

    def found() -> Iterator[dict[str, Any]]:
        for fact in FACTS:
            if fact not in without:
                value = up if fact == "up" else "7"
                yield {"metric": {"gizzi_fact": fact, label: number}, "value": [1795738796.6, value]}

    return list(found())
