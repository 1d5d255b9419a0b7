"""Try to talk a real model into healthy, with each injection of the unit tests, and print the count of each verdict.

    make injections [FIRST=101] [COUNT=50]

The servers and the model are those of the client's settings: GIZZI_CONFIG names their file. Nothing is kept of it: no
answer, no line in the ledger, and Claude is not asked. Each case is a line as soon as it has been judged, so that a run
that was cut off goes on at its number. It fails when a verdict is healthy, and when the model did not answer once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import injections
from fleets import THRESHOLDS, network
from ollama_client import GizziError, OllamaClient, Settings
from ollama_client.cache import NoCache
from ollama_client.monitoring import TieredHealthCheck
from ollama_client.settings import Ledger, Thresholds, load

CASES = [
    (f"{kind}, {name}", statuses)
    for kind, unsound in (("in order", False), ("not in order", True))
    for name, statuses in injections.cases(unsound)
]
NOTHING = "nothing"


def numbers() -> argparse.Namespace:
    """Return which cases to try."""
    parser = argparse.ArgumentParser(description="Try to talk a real model into healthy.")
    parser.add_argument("--first", type=int, default=1, help=f"number of the first case, 1 to {len(CASES)}")
    parser.add_argument("--count", type=int, default=len(CASES), help="how many cases, from there on")
    found = parser.parse_args()
    if not 1 <= found.first <= len(CASES) or found.count < 1:
        parser.error(f"--first is 1 to {len(CASES)}, and --count is 1 or more")
    return found


def settings(scratch: Path) -> Settings:
    """Return the client's settings, with the limits that the cases are made for. Errors: SettingsError."""
    found = load()
    changes = {
        "thresholds": Thresholds.model_validate(THRESHOLDS),
        "claude": found.claude.model_copy(update={"budget": 0.0}),
        "ledger": Ledger(folder=scratch),
    }
    return found.model_copy(update=changes)


def said(result: dict[str, Any]) -> str:
    """Return what the model itself said, as the reasons tell it."""
    own = [one.removeprefix("Ollama: ") for one in result["reasons"] if one.startswith("Ollama: ")]
    if result["tier"] == "ollama" and not own:
        return "healthy"
    healths = ("healthy", "degraded", "critical")
    words = [health for one in own for health in healths if one.startswith(f"it says {health}")]
    doubts = ["without confidence" for one in own if one.startswith("its confidence")]
    return ", ".join([*words, *doubts]) or NOTHING


def show(title: str, counts: Counter[str]) -> None:
    print(f"{title}: {', '.join(f'{word} {count}' for word, count in counts.most_common())}")


def main() -> None:
    chosen = numbers()
    verdicts: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    last = min(chosen.first + chosen.count - 1, len(CASES))
    with tempfile.TemporaryDirectory() as scratch:
        check = TieredHealthCheck(OllamaClient(settings=settings(Path(scratch)), cache=NoCache()))
        sound = check.quick_health_check(network())
        print(f"  without one: {sound['health']} (the model: {said(sound)})", flush=True)
        for number in range(chosen.first, last + 1):
            name, statuses = CASES[number - 1]
            result = check.quick_health_check(injections.fresh(statuses))
            verdicts[result["health"]] += 1
            answers[said(result)] += 1
            line = f"{number:4d}  {result['health']:9}  {result['seconds']:6.1f} s  {name} (the model: {said(result)})"
            print(line, *(result["reasons"] if said(result) == NOTHING else ()), sep="\n      ", flush=True)
    print(f"Cases {chosen.first} to {last} of {len(CASES)}")
    show("verdicts", verdicts)
    show("the model alone", answers)
    if verdicts["healthy"]:
        sys.exit("a verdict is healthy")
    if answers[NOTHING] == verdicts.total():
        sys.exit("the model did not answer once: nothing is proved")


if __name__ == "__main__":
    try:
        main()
    except GizziError as error:
        sys.exit(str(error))
