# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi peers."""

from __future__ import annotations

import re

from ollama_client import node
from ollama_client.cli import output, setup
from ollama_client.prompts import Data

SYSTEM = (
    "You help the operator of a Substrate validator to find peers. Judge by its metrics: peers, direction of the"
    " connections, failed dials, synchronisation. Name ports, firewall, public address, node key and bootnodes as far"
    " as the metrics speak for it. Recommend no bootnode but the known ones: an invented address is worse than none."
)
PROMPT = "How can this validator improve its peer discovery? Which bootnodes should it add?"
_ADDRESS = re.compile(r"/(?:ip[46]|dns[46]?|dnsaddr)/[^\s`'\"<>),;]+")


@output.command
def run(*, fresh: bool, timeout: float | None, verbose: bool, as_json: bool) -> None:
    client = setup.client()
    found = node.metrics(client.settings.node)
    bootnodes = "\n".join(client.settings.node.bootnodes) or "none are known: the operator must ask for them"
    data = [Data("known bootnodes", bootnodes), found.data()]
    asking = setup.Asking(client, PROMPT, SYSTEM, data, fresh, timeout)
    if as_json:
        answer = asking.whole()
        invented = unknown(answer.text, bootnodes + found.text)
        output.show_json({"facts": found.facts(), "analysis": answer.model_dump(), "unknown_addresses": invented})
        return
    output.say("Seen: " + ", ".join(f"{name} {value}" for name, value in found.facts().items()))
    output.say("")
    output.show_answer(asking, verbose=verbose)
    assert asking.answer is not None
    for address in unknown(asking.answer.text, bootnodes + found.text):
        output.warn(f"do not use this address, it is neither in the settings nor in the metrics: {address}")


def unknown(text: str, known: str) -> list[str]:
    """Return the addresses of peers in an answer that are in nothing that was asked about."""
    return sorted({address for address in _ADDRESS.findall(text) if address.rstrip(".") not in known})
