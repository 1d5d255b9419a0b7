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
    asking = setup.Asking(setup.client(model=model), prompt, system, [data] if data else [], fresh, timeout)
    if as_json:
        output.show_json(asking.whole().model_dump())
    else:
        output.show_answer(asking)
