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
from ollama_client.errors import GizziError
from ollama_client.monitoring import TieredHealthCheck
from ollama_client.settings import load

STATUSES = {"healthy": 0, "degraded": 1, "critical": 2, "unknown": 3}


def run(*, as_json: bool) -> None:
    logging.basicConfig(format="gizzi: %(message)s", level=logging.WARNING)
    try:
        with output.waiting("checking"):
            result = _check()
    except KeyboardInterrupt:
        output.leave(output.INTERRUPTED)
    except GizziError as error:
        result = _unknown(str(error))
    except Exception as error:
        # A mistake of this program must not look like the state of the network.
        logging.getLogger(__name__).exception("a mistake of this program")
        result = _unknown(f"gizzi itself failed: {type(error).__name__}")
    if as_json:
        output.show_json(result)
    else:
        output.say(f"{result['health'].upper()}: {result['summary']}")
        for reason in result["reasons"]:
            output.say(f"  because {reason}")
        for action in result["actions"]:
            output.say(f"  to do: {action}")
    sys.stdout.flush()
    raise typer.Exit(STATUSES[result["health"]])


def _check() -> dict[str, Any]:
    settings = load()
    status = gizzi_api.network_status(settings.api)
    repeat = DiskCache(settings.cache.folder, settings.claude.repeat_seconds)
    return TieredHealthCheck(setup.client(settings), repeat=repeat, name="gizzi").quick_health_check(status)


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
