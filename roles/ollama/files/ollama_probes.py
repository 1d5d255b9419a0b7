# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probes: what a loaded model answers to a short question.

A model is probed with a few tokens, at most every 15 minutes, and only while it is loaded already. A probe is a use
and so puts off the model's unloading: one that nobody else has used since the last probe is left to be unloaded.

A server that is busy with other questions sends nothing either. A probe without an answer, while the processes that
hold weights take processor time or cannot be seen, has neither succeeded nor failed: the next runs ask again, and only
when that was so for 15 minutes it has failed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any, Callable

from ollama_server import Loaded, OllamaError, Request, SilentError

PROBE_TIMEOUT = 60.0
PROBE_TOKENS = 8
PROBE_INTERVAL = 900.0
# An older result says nothing about now.
PROBE_KEPT = 3600.0
# Seconds for which a server may be too busy to answer a probe.
BUSY_TIMEOUT = 900.0
# The share of a processor from which on a process is at work; one that waits takes next to nothing.
AT_WORK = 0.05
# A model that is to be unloaded sooner might be gone when the probe comes, which would load it again.
UNLOAD_MARGIN = 30.0
# Where a model is kept for ever, Ollama tells a time some 290 years ahead.
FOR_EVER = datetime(2100, 1, 1, tzinfo=timezone.utc).timestamp()


@dataclass(frozen=True)
class Probe:
    """A probe's result, its times in seconds since the epoch; ``success`` is None where it is not known.

    ``expires`` is the unloading that it led to, once seen. ``silent_since`` is when the server first sent nothing.
    """

    time: float
    success: bool | None
    tokens_per_second: float | None = None
    expires: float | None = None
    silent_since: float | None = None


def due(wanted: Iterable[str], loaded: Mapping[str, Loaded], probes: Mapping[str, Probe], now: float) -> str | None:
    """Return the model to probe now: of those whose turn it is the one that has waited longest, None without any.

    One for each run, so that a run stays short.
    """

    def has_its_turn(model: str) -> bool:
        if model not in loaded or not loaded[model].probed or loaded[model].expires < now + UNLOAD_MARGIN:
            return False
        last = probes.get(model)
        if last is None or last.silent_since is not None:
            return True
        # Models that share weights are unloaded together, and a probe of one is no use of the other.
        probed = loaded[model].expires in {probe.expires for probe in probes.values()}
        used = not probed or loaded[model].expires > FOR_EVER
        return used and now - last.time >= PROBE_INTERVAL

    turns = [model for model in wanted if has_its_turn(model)]
    return min(turns, key=lambda model: probes[model].time if model in probes else 0.0, default=None)


def probe(request: Request, model: str, loaded: Loaded, now: float) -> Probe:
    """Let a loaded model generate a few tokens; a failure is a result too. Raise SilentError where nothing comes."""
    options: dict[str, Any] = {"num_predict": PROBE_TOKENS, "temperature": 0}
    # Another context than the loaded one would load the model anew.
    if loaded.context:
        options["num_ctx"] = loaded.context
    payload = {"model": model, "prompt": "Hello", "think": False, "stream": False, "options": options}
    try:
        answer = request("/api/generate", payload, PROBE_TIMEOUT)
        fault = fault_of(answer)
        if fault:
            print(f"probe of {model}: {fault}", file=sys.stderr)
            return Probe(now, success=False)
        tokens, nanoseconds = int(answer["eval_count"]), int(answer["eval_duration"])
        speed = tokens / nanoseconds * 1e9 if nanoseconds > 0 else None
    except SilentError:
        raise
    except (OllamaError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        print(f"probe of {model}: {type(error).__name__}: {error}", file=sys.stderr)
        return Probe(now, success=False)
    return Probe(now, success=True, tokens_per_second=speed)


def probed(
    ask: Callable[[], Probe], now: float, last: Probe | None, cpu: Callable[[], dict[int, float] | None]
) -> Probe:
    """Return a probe's result; a silent server's by the processor time before and after, and by the result before."""
    before = cpu()
    try:
        return ask()
    except SilentError as error:
        print(f"no answer to a probe: {error}", file=sys.stderr)
    after = cpu()
    if before is not None and after is not None:
        taken = sum(max(0.0, seconds - before.get(process, 0.0)) for process, seconds in after.items())
        if taken < PROBE_TIMEOUT * AT_WORK:
            return Probe(now, success=False)
    since = now if last is None or last.silent_since is None else last.silent_since
    return Probe(now, success=None if now - since < BUSY_TIMEOUT else False, silent_since=since)


def fault_of(answer: Mapping[str, Any]) -> str:
    """Return what is wrong with an answer to a probe, empty if nothing is."""
    if answer.get("done") is False:
        return "the server ended the answer because the model repeated one token"
    if answer.get("thinking") and not str(answer.get("response") or "").strip():
        return f"it only thought for its {PROBE_TOKENS} tokens: it ignores 'think: false', and answers late or never"
    return ""


def noted(probes: Mapping[str, Probe], loaded: Mapping[str, Loaded], now: float) -> dict[str, Probe]:
    """Return the results that still count, each with the unloading that it led to.

    That is noted one run later: Ollama puts the unloading off only after it has answered.
    """
    return {
        model: (
            replace(last, expires=loaded[model].expires)
            if last.expires is None and last.silent_since is None and model in loaded
            else last
        )
        for model, last in probes.items()
        if 0 <= now - last.time < PROBE_KEPT
    }


def parse_probes(text: str) -> dict[str, Probe]:
    """Read what ``format_probes`` has written; of anything else nothing is kept, and the models are probed anew."""
    try:
        return {str(model): Probe(**fields) for model, fields in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


def format_probes(probes: Mapping[str, Probe]) -> str:
    """Return the results as ``parse_probes`` reads them."""
    return json.dumps({model: asdict(last) for model, last in probes.items()})
