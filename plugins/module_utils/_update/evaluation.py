# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prompt evaluation: ask a model questions with known answers. It measures; ``worse`` compares two measurements."""

from __future__ import annotations

import re
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._answer import Streamed, without_thoughts
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import TimedOutError
from ansible_collections.etrid.gizzi.plugins.module_utils._progress import StallWatch
from ansible_collections.etrid.gizzi.plugins.module_utils._schema import check_pattern, check_schema, fit
from ansible_collections.etrid.gizzi.plugins.module_utils._silence import (
    BusyError,
    Silence,
    UnhealthyError,
    UnseenError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama

# Maximum length of an answer in the result, in characters.
SHOWN = 200
SEED = 1


@dataclass(frozen=True)
class Prompt:
    """A question; its answer must match the pattern or the schema. tokens is the maximum length of the answer."""

    name: str
    prompt: str
    system: str | None
    pattern: str | None
    schema: Mapping[str, Any] | None
    tokens: int

    def payload(self, model: ModelName) -> dict[str, Any]:
        """Return the request for /api/generate; it is the same each time."""
        payload: dict[str, Any] = {
            "model": str(model),
            "prompt": self.prompt,
            "options": {"temperature": 0, "seed": SEED, "num_predict": self.tokens},
        }
        if self.system is not None:
            payload["system"] = self.system
        if self.schema is not None:
            payload["format"] = self.schema
        return payload

    def problem(self, answer: Streamed) -> str:
        """Return the problem of an answer, "" for none. The model's thinking is not part of the answer."""
        fault = answer.fault(self.tokens)
        if fault:
            return fault
        if self.pattern is not None:
            found = re.search(self.pattern, without_thoughts(answer.said))
            return "" if found else f"it does not match {self.pattern!r}"
        return fit(answer.said, self.schema or {})


@dataclass(frozen=True)
class Failure:
    """A prompt without a good answer: the beginning of the answer, and its problem."""

    name: str
    answer: str
    reason: str


@dataclass(frozen=True)
class Evaluation:
    """The results of all prompts; tokens and nanoseconds from the server, 0 where it reported none."""

    asked: int
    failures: tuple[Failure, ...] = ()
    tokens: int = 0
    nanoseconds: int = 0

    @property
    def passed(self) -> int:
        """The number of prompts with a good answer."""
        return self.asked - len(self.failures)

    @property
    def pass_rate(self) -> float:
        """The share of prompts with a good answer, from 0 to 1."""
        return round(self.passed / self.asked, 4)

    @property
    def speed(self) -> float | None:
        """Tokens per second, None when the server reported no durations."""
        return round(self.tokens / (self.nanoseconds / 1e9), 3) if self.nanoseconds else None


def read_prompts(given: Sequence[Mapping[str, Any]]) -> tuple[Prompt, ...]:
    """Check the given prompts; raise GizziError with each invalid one."""
    if not given:
        raise GizziError("prompts: there is none, and so nothing to measure.")
    problems = []
    for prompt in given:
        where = f"prompts: {_name_of(prompt)!r}"
        try:
            if (prompt.get("pattern") is None) == (prompt.get("schema") is None):
                raise GizziError(f"{where} must have either a pattern or a schema.")
            if prompt.get("pattern") is None:
                check_schema(prompt["schema"], where)
            else:
                check_pattern(prompt["pattern"], where)
        except GizziError as error:
            problems.append(str(error))
    if problems:
        raise GizziError(" ".join(problems))
    return tuple(
        Prompt(
            _name_of(prompt),
            str(prompt["prompt"]),
            prompt.get("system"),
            prompt.get("pattern"),
            prompt.get("schema"),
            int(prompt.get("tokens") or 64),
        )
        for prompt in given
    )


def _name_of(prompt: Mapping[str, Any]) -> str:
    return str(prompt.get("name") or prompt.get("prompt"))


def evaluate(server: Ollama, model: ModelName, prompts: Sequence[Prompt], timeout: float) -> Evaluation:
    """Ask a model every prompt, at most timeout seconds for each. A prompt without an answer has failed.

    Raise BusyError where the server works for others, and UnseenError where that cannot be seen: then nothing was
    measured. Before that a prompt is asked again for as long as the time for all of them lasts.
    """
    failures, tokens, nanoseconds = [], 0, 0
    until = time.monotonic() + timeout * len(prompts)
    for prompt in prompts:
        try:
            answer = _answer(server, model, prompt, timeout, until)
        except (BusyError, UnseenError):
            raise
        except GizziError as error:
            failures.append(Failure(prompt.name, "", f"no answer: {error}"))
            continue
        problem = prompt.problem(answer)
        if problem:
            failures.append(Failure(prompt.name, answer.said.strip()[:SHOWN], problem))
        count, duration = answer.final.get("eval_count"), answer.final.get("eval_duration")
        if isinstance(count, int) and isinstance(duration, int) and count > 0 and duration > 0:
            tokens += count
            nanoseconds += duration
    return Evaluation(len(prompts), tuple(failures), tokens, nanoseconds)


def _answer(server: Ollama, model: ModelName, prompt: Prompt, timeout: float, until: float) -> Streamed:
    """Ask one prompt, and again while the server is busy and half of an answer's time is left before ``until``."""
    started = time.monotonic()
    while True:
        answer, silence = Streamed(), Silence(server.url)
        watch = StallWatch(timeout, timeout, "the answer")
        try:
            with closing(server.generate(prompt.payload(model), watch.silence)) as lines:
                answer.read(lines, watch)
        except TimedOutError:
            if answer.pieces:
                watch.check()
                raise
            now = time.monotonic()
            error = silence.error(model, timeout, now - started)
            if error.status == UnhealthyError.status or now + timeout / 2 > until:
                raise error from None
        else:
            return answer


def evaluate_fairly(
    server: Ollama, model: ModelName, prompts: Sequence[Prompt], timeout: float, least: float
) -> Evaluation:
    """Evaluate, and again if the speed is below ``least`` tokens per second: the faster evaluation counts.

    The first one may be slow because the host was busy.
    """
    first = evaluate(server, model, prompts, timeout)
    if first.speed is None or first.speed >= least:
        return first
    return max(first, evaluate(server, model, prompts, timeout), key=lambda found: found.speed or 0)


# Maximum length of a prompt's name and answer in a reason, in characters.
BRIEF = 80


def worse(after: Evaluation, before: Evaluation, minimum_speed: float) -> list[str]:
    """Return in words where a model is worse than the previous one; a value that could not be measured is worse.

    minimum_speed is the necessary share of the previous speed.
    """
    found = []
    if after.passed == before.passed == 0:
        found.append(
            f"nothing was measured: none of the {after.asked} prompts was answered well, before the update or after it "
            f"({_shown(after.failures)}). Give prompts that this model can answer, in model_update_prompts"
        )
    if after.pass_rate < before.pass_rate:
        known = {failure.name for failure in before.failures}
        new = [failure for failure in after.failures if failure.name not in known]
        found.append(
            f"{after.pass_rate:.0%} of the prompts are answered well, {before.pass_rate:.0%} were: "
            f"{_shown(new or after.failures)}"
        )
    if before.speed is not None:
        least = before.speed * minimum_speed
        if after.speed is None:
            found.append("its speed could not be measured")
        elif after.speed < least:
            found.append(
                f"too slow: {after.speed:.2f} tokens/s, at least {least:.2f} are wanted "
                f"({minimum_speed:g} of the {before.speed:.2f} before)"
            )
    return found


def _shown(failures: Sequence[Failure]) -> str:
    return "; ".join(
        f"{failure.name[:BRIEF]!r}: {failure.reason}"
        + (f", it is {failure.answer[:BRIEF]!r}" if failure.answer else "")
        for failure in failures[:2]
    )
