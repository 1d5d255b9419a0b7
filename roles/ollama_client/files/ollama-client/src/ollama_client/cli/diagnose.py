# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi diagnose."""

from __future__ import annotations

import socket
from datetime import UTC, datetime

from ollama_client import node
from ollama_client.cli import output, setup
from ollama_client.errors import NodeError
from ollama_client.monitoring import facts, rules
from ollama_client.prompts import Data
from ollama_client.settings import limits

SYSTEM = (
    "You help the operator of a Substrate validator. Say what its journal and its metrics show, worst first, with the"
    " lines that show it. Say what the operator should look at. You cannot change anything, and a restart is the"
    " operator's decision: name what speaks for and against it. If nothing is wrong, say that nothing stands out."
)
PROMPT = "Is this validator experiencing any issues?"


@output.command
def run(unit: str | None, lines: int, *, fresh: bool, timeout: float | None, verbose: bool, as_json: bool) -> None:
    client = setup.client()
    settings = client.settings
    thresholds = limits(settings)
    data: list[Data] = []
    seen: list[str] = []
    failed: list[NodeError] = []
    findings: list[str] = []
    try:
        journal = node.journal(settings.node, unit or settings.node.unit, lines)
        data.append(journal.data())
        seen.append(f"{journal.lines} lines of the journal ({journal.errors} errors, {journal.warnings} warnings)")
    except NodeError as error:
        failed.append(error)
    try:
        metrics = node.metrics(settings.node)
        data.append(metrics.data())
        known = metrics.facts()
        fleet = facts.read([known | {"name": socket.gethostname()}])
        findings = [str(one) for one in rules.judge(fleet, thresholds, datetime.now(UTC)).findings]
        seen += [f"{name} {value}" for name, value in known.items()]
    except NodeError as error:
        failed.append(error)
    if not data:
        raise failed[0]
    asking = setup.Asking(client, PROMPT, SYSTEM, data, fresh, timeout)
    if as_json:
        answer = asking.whole()
        output.show_json(
            {
                "seen": seen,
                "not_seen": [output.error_json(one) for one in failed],
                "findings": findings,
                "analysis": answer.model_dump(),
            }
        )
        return
    output.say(f"Seen: {', '.join(seen)}")
    for one in failed:
        output.say(f"Not seen: {one}")
    for finding in findings:
        output.say(f"By the rules: {finding}")
    output.say("")
    output.show_answer(asking, verbose=verbose)
