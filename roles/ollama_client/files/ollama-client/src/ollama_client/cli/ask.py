# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi ask."""

from __future__ import annotations

from ollama_client.cli import output, setup, stdin


@output.command
def run(
    prompt: str, *, system: str | None, model: str | None, fresh: bool, timeout: float | None, as_json: bool
) -> None:
    data = stdin.piped()
    client = setup.client(model=model)
    given = [data] if data else []
    if as_json:
        answer = client.ask(prompt, system, data=given, fresh=fresh, timeout=timeout)
        output.show_json(answer.model_dump())
        return
    seconds = timeout or client.settings.deadlines.total
    output.show_pieces(client.stream(prompt, system, data=given, fresh=fresh, timeout=timeout), seconds)
