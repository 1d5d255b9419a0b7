"""What monitors say about validators, and a Gizzi API that says it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fake_ollama import Behaviour

THRESHOLDS = {"max_lag": 10, "max_finality_lag": 50, "min_peers": 3, "stale_seconds": 90.0}
HEALTHY = {"health": "healthy", "confidence": 0.9, "summary": "All are in step.", "actions": []}


def validator(number: int, **changes: Any) -> dict[str, Any]:
    """One validator as the Gizzi API describes it, in order but for the changes."""
    return {
        "number": number,
        "name": f"validator{number:02d}",
        "status": "healthy",
        "reason": "in step: at the best",
        "block_height": 1_403_456,
        "finalized_height": 1_403_453,
        "peers": 18,
        "lag": 0,
        "age_seconds": 2.0,
    } | changes


def network(*validators: Mapping[str, Any], seconds_ago: float = 0.0, **changes: Any) -> dict[str, Any]:
    """The API's answer about these validators, or about three in order."""
    return {
        "generated_at": (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat(),
        "age_seconds": 1.5,
        "stale": False,
        "error": None,
        "summary": {
            "validators": 3,
            "by_status": {},
            "best_height": 1_403_456,
            "finalized_height": 1_403_453,
            "spread": 0,
        },
        "validators": [dict(one) for one in validators] or [validator(number) for number in (1, 2, 3)],
    } | changes


def api(answer: Callable[[], object]) -> Behaviour:
    """The Gizzi API, with one answer to everything, made when it is asked."""
    return lambda handler: handler.reply(200, json.dumps(answer()).encode())
