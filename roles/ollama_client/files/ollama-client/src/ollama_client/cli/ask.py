# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi ask."""

from __future__ import annotations

from ollama_client.cli import output, setup, stdin


@output.command
def run(
    prompt: str, *, system: str | None, model: str | None, fresh: bool, timeout: float | None, as_json: bool
) -> None:
    client = setup.client(model=model)
    # The time that the data takes is no time of the answer's.
    data = stdin.piped(timeout or client.settings.deadlines.total)
    asking = setup.Asking(client, prompt, system, [data] if data else [], fresh, timeout)
    if as_json:
        output.show_json(asking.whole().model_dump())
    else:
        output.show_answer(asking)
