# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi health: for cron and Nagios. Whatever goes wrong here is `unknown`."""

from __future__ import annotations

import logging
import sys
from typing import Any

import typer

from ollama_client import gizzi_api
from ollama_client.cache import DiskCache
from ollama_client.cli import output, setup
from ollama_client.deadline import Deadline
from ollama_client.errors import GizziError
from ollama_client.monitoring import TieredHealthCheck
from ollama_client.settings import load

STATUSES = {"healthy": 0, "degraded": 1, "critical": 2, "unknown": 3}


def run(*, timeout: float | None, as_json: bool) -> None:
    output.begin()
    try:
        with output.waiting("checking"):
            result = _check(timeout)
    except KeyboardInterrupt:
        output.leave(output.INTERRUPTED)
    except GizziError as error:
        result = _unknown(str(error))
    except Exception as error:
        # A bug of this program must not look like the state of the network.
        logging.getLogger(__name__).exception("a bug of this program")
        result = _unknown(f"gizzi itself failed: {type(error).__name__}")
    status = STATUSES[result["health"]]
    try:
        _show(result, as_json)
    except BrokenPipeError:
        output.leave(status)
    raise typer.Exit(status)


def _check(timeout: float | None) -> dict[str, Any]:
    settings = load()
    api, left = settings.api, None
    if timeout is not None:
        left = Deadline(timeout)
        api = api.model_copy(update={"timeout": min(api.timeout, timeout)})
    status = gizzi_api.network_status(api)
    repeat = DiskCache(settings.cache.of_this_user, settings.claude.repeat_seconds)
    check = TieredHealthCheck(setup.client(settings), repeat=repeat, name="gizzi")
    return check.quick_health_check(status, timeout=left.remaining() if left else None)


def _show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.show_json(result)
    else:
        output.say(f"{result['health'].upper()}: {result['summary']}")
        for reason in result["reasons"]:
            output.say(f"  because {reason}")
        for action in result["actions"]:
            output.say(f"  to do: {action}")
    sys.stdout.flush()


def _unknown(summary: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "health": "unknown",
        "actions": [],
        "tier": "rules",
        "reasons": ["there is nothing to judge by"],
        "confidence": None,
        "seconds": 0.0,
        "dollars": 0.0,
    }
