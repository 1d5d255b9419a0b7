# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi ask."""

from __future__ import annotations

import typer

from ollama_client.cli import output, setup, stdin


@output.command
def run(
    prompt: str,
    *,
    system: str | None,
    model: str | None,
    fresh: bool,
    timeout: float | None,
    verbose: bool,
    as_json: bool,
) -> None:
    client = setup.client(model=model)
    # The time that the data takes is no time of the answer's.
    data = stdin.piped(timeout or client.settings.deadlines.total)
    if not prompt.strip():
        # What is piped in alone is the question itself.
        if data is None:
            raise typer.BadParameter("there is no question. As in: gizzi ask what is finality lag")
        prompt, data = data.text, None
    asking = setup.Asking(client, prompt, system, [data] if data else [], fresh, timeout)
    output.show_asking(asking, verbose=verbose, as_json=as_json)
