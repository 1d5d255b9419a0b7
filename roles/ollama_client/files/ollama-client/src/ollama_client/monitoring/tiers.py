# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules first, then Ollama, then Claude. A tier that finds an issue, fails, doubts or contradicts the rules goes up.

The rules have the last word: a model may find more than they do, and never less. Healthy is what the rules and a model
agree on. When every tier fails, the health is unknown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from ollama_client import prices, prompts
from ollama_client.answer import Answer
from ollama_client.cache import Cache, MemoryCache
from ollama_client.claude import Claude
from ollama_client.client import OllamaClient
from ollama_client.deadline import Deadline
from ollama_client.errors import ClaudeError, ClaudeKeyError, GizziError
from ollama_client.ledger import Ledger
from ollama_client.masking import plain
from ollama_client.monitoring import facts, rules
from ollama_client.monitoring.repeats import Repeats
from ollama_client.monitoring.rules import Health, Judgement, worst
from ollama_client.prompts import Data
from ollama_client.settings import limits

SYSTEM = (
    "You are {name}. You check the validators of a Substrate network. The findings of the rules are certain. Judge"
    " only by the data: heights that differ by a few blocks are in order; a validator that is far behind the others,"
    " has few peers, or whose data is missing or old is not. If you are not sure, say so by a low confidence."
)
QUESTION = (
    "Are these validators in order? health: healthy, degraded or critical. confidence: from 0 to 1. summary: one or two"
    " sentences with numbers. actions: what an operator should look at; none if all is in order."
)
# What an answer has that nobody gave, for the comparison with asking Claude.
USUAL_ANSWER = 200


class Verdict(BaseModel):
    """What a model has to say."""

    health: Literal["healthy", "degraded", "critical"]
    # What the schema says beyond the checks keeps a small model in bounds: it is not held against a larger one.
    confidence: Annotated[float, Field(ge=0, le=1, json_schema_extra={"enum": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]})]
    summary: Annotated[str, Field(min_length=1, json_schema_extra={"maxLength": 200})]
    actions: Annotated[
        list[Annotated[str, Field(json_schema_extra={"maxLength": 100})]], Field(json_schema_extra={"maxItems": 3})
    ]


@dataclass
class _Check:
    """One check on its way up. ``reasons``: why it is what it is, and why it went up."""

    fleet: facts.Fleet
    judgement: Judgement
    ollama: Deadline
    whole: Deadline
    reasons: list[str]
    dollars: float = 0.0
    tokens: tuple[int, int] | None = None


class TieredHealthCheck:
    """Checks the health of a fleet.

    Args:
        client: asks Ollama; without it one by the settings.
        claude: asks Claude; without it one by the settings.
        ledger: counts; without it the settings'.
        repeat: keeps Claude's analyses for claude.repeat_seconds; without it one in memory.
        name: how the models are addressed.

    Errors: SettingsError.
    """

    def __init__(
        self,
        client: OllamaClient | None = None,
        *,
        claude: Claude | None = None,
        ledger: Ledger | None = None,
        repeat: Cache | None = None,
        name: str = "the monitor",
    ) -> None:
        self._client = client or OllamaClient()
        self._settings = self._client.settings
        self._limits = limits(self._settings)
        self._ledger = ledger or Ledger(self._settings)
        self._claude = claude or Claude(self._settings.claude, self._ledger)
        seconds = self._settings.claude.repeat_seconds
        self._repeats = Repeats(repeat or MemoryCache(seconds), self._settings.claude.model, seconds)
        self._system = SYSTEM.format(name=name)

    def quick_health_check(self, validator_statuses: object, *, timeout: float | None = None) -> dict[str, Any]:
        """Say how the validators are. What fails on the way is no exception but among the reasons.

        Args:
            validator_statuses: as ``monitoring.facts.read`` takes them, such as the Gizzi API's network status.
            timeout: seconds for all of it, in place of the settings' deadlines.total and claude.timeout together.

        Returns:
            summary: text; health: healthy, degraded, critical or unknown; actions: list of texts;
            tier: rules, ollama or claude: whose summary it is; reasons: why it is so, and why it went up;
            confidence: the model's, from 0 to 1, or None; seconds and dollars that it took.
        """
        check = self._begin(validator_statuses, timeout)
        if check.judgement.health == "unknown":
            # There is nothing that a model could know.
            return self._result(check, "rules", None)
        verdict = self._ask_ollama(check)
        if verdict and verdict.health == check.judgement.health == "healthy":
            return self._result(check, "ollama", verdict)
        return self._go_up(check, verdict, optional=True)

    def analyze_with_claude(self, validator_statuses: object) -> dict[str, Any]:
        """As ``quick_health_check``, without Ollama."""
        check = self._begin(validator_statuses, None)
        if check.judgement.health == "unknown":
            return self._result(check, "rules", None)
        return self._go_up(check, None)

    def _begin(self, statuses: object, timeout: float | None) -> _Check:
        fleet = facts.read(statuses)
        judgement = rules.judge(fleet, self._limits, datetime.now(UTC))
        claude = self._settings.claude.timeout
        whole = self._settings.deadlines.total + claude if timeout is None else timeout
        return _Check(
            fleet=fleet,
            judgement=judgement,
            # What is left is Claude's.
            ollama=Deadline(whole - min(claude, whole / 2)),
            whole=Deadline(whole),
            reasons=[f"rules: {one}" for one in judgement.findings],
        )

    def _data(self, check: _Check) -> list[Data]:
        return [
            Data("findings of the rules", "\n".join(str(one) for one in check.judgement.findings) or "none"),
            Data("validator statuses", check.fleet.text),
        ]

    def _ask_ollama(self, check: _Check) -> Verdict | None:
        """Return what Ollama has to say, if it can be believed."""
        model = self._client.model
        try:
            answer, verdict = self._client.ask_json(
                QUESTION, Verdict, self._system, data=self._data(check), timeout=check.ollama.remaining()
            )
        except GizziError as error:
            check.reasons.append(f"Ollama: {error}")
            self._ledger.record("ollama", model, until=check.whole, seconds=check.ollama.elapsed(), failed=True)
            return None
        check.tokens = answer.tokens_in, answer.tokens_out
        if answer.cached:
            self._ledger.record("cache", model, until=check.whole)
        else:
            self._ledger.record(
                "ollama",
                model,
                until=check.whole,
                tokens_in=answer.tokens_in,
                tokens_out=answer.tokens_out,
                seconds=answer.seconds,
            )
        return self._believed("Ollama", check, verdict)

    def _go_up(self, check: _Check, below: Verdict | None, *, optional: bool = False) -> dict[str, Any]:
        """Ask Claude; without its answer the one from below stands. Optional: where it has no key, it is not missed."""
        try:
            said = self._ask_claude(check)
            verdict = self._believed("Claude", check, said) if said else None
        except GizziError as error:
            if not (optional and isinstance(error, ClaudeKeyError)):
                check.reasons.append(f"Claude: {error}")
            check.dollars = error.dollars if isinstance(error, ClaudeError) else 0.0
            verdict = None
        if verdict:
            return self._result(check, "claude", verdict)
        # That nobody above could confirm an issue does not make it go away; a healthy answer never comes here alone.
        return self._result(check, "ollama" if below else "rules", below)

    def _ask_claude(self, check: _Check) -> Verdict | None:
        """Return what Claude has to say; None where it has said what it has to say about each of the findings."""
        with self._repeats.about(_findings(check), check.whole) as before:
            if (text := before.answer()) is not None:
                check.reasons.append("Claude: the answer that it gave to the same findings before")
                return Verdict.model_validate_json(text)
            if before.all_known():
                check.reasons.append("Claude: not asked again, it has analysed each of these findings beside others")
                return None
            context = self._settings.prompt.context_tokens
            prompt = prompts.compose(QUESTION, self._data(check), context)
            system = prompts.system(self._system, self._data(check))
            reply = self._claude.report(system, prompt, Verdict, check.whole)
            check.dollars = reply.dollars
            # That sound facts are in order is looked at anew each time.
            if check.judgement.findings or reply.value.health != "healthy":
                before.keep(
                    Answer(
                        text=reply.value.model_dump_json(),
                        model=self._settings.claude.model,
                        endpoint="Claude",
                        seconds=reply.seconds,
                        tokens_in=reply.tokens_in,
                        tokens_out=reply.tokens_out,
                        complete=True,
                    )
                )
            return reply.value

    def _believed(self, who: str, check: _Check, verdict: Verdict) -> Verdict | None:
        """Return the verdict if it can be believed; say why not, or that it found an issue."""
        least = self._settings.confidence
        found = len(check.reasons)
        if verdict.health == "healthy" and check.judgement.health != "healthy":
            check.reasons.append(f"{who}: it says healthy, and contradicts the rules")
        if verdict.confidence < least:
            check.reasons.append(f"{who}: its confidence is {verdict.confidence:g} (needs {least:g})")
        if len(check.reasons) > found:
            return None
        if verdict.health != "healthy":
            check.reasons.append(f"{who}: it says {verdict.health}: {verdict.summary}")
        return verdict

    def _result(
        self, check: _Check, tier: Literal["rules", "ollama", "claude"], verdict: Verdict | None
    ) -> dict[str, Any]:
        judged = check.judgement
        health: Health
        if verdict:
            health = worst(judged.health, verdict.health)
            summary, actions = plain(verdict.summary), [plain(one) for one in verdict.actions] or judged.actions
        elif judged.health == "healthy":
            health, actions = "unknown", ["See why no model answers: the reasons say it"]
            summary = f"Not known: {judged.summary} No model could confirm it."
        else:
            health, summary, actions = judged.health, judged.summary, judged.actions
        saved = 0.0
        if not check.dollars:
            tokens = check.tokens or (prompts.tokens(check.fleet.text), USUAL_ANSWER)
            saved = prices.saved(self._settings.claude, *tokens)
        self._ledger.record("rules", until=check.whole, saved=saved)
        return {
            "summary": summary,
            "health": health,
            "actions": actions,
            "tier": tier,
            "reasons": check.reasons,
            "confidence": verdict.confidence if verdict else None,
            "seconds": round(check.whole.elapsed(), 3),
            "dollars": check.dollars,
        }


def _findings(check: _Check) -> list[str]:
    """Return what Claude is asked about, without figures: the rules' findings, or which validators a model doubts."""
    found = check.judgement.findings
    if found:
        return [json.dumps([one.label, one.kind]) for one in found]
    return [json.dumps(["in order by the rules", *sorted(one.label for one in check.fleet.validators)])]
