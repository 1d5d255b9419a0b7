# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi analyze."""

from __future__ import annotations

from ollama_client.cli import output, setup


@output.command
def run(endpoint: str, prompt: str, *, fresh: bool, timeout: float | None, verbose: bool, as_json: bool) -> None:
    client = setup.client()
    asking = setup.Asking(client, prompt, None, [client.api_data(endpoint)], fresh, timeout)
    output.show_asking(asking, verbose=verbose, as_json=as_json)
