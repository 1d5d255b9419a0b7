# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Those who watch over a gateway, before the gateway as it is deployed: its metrics, and the look of verify."""

from __future__ import annotations

import json

import gateway_log
import gateways
from gateway_log import Known, State

from ansible_collections.etrid.gizzi.plugins.module_utils import _gateway_look
from ansible_collections.etrid.gizzi.plugins.module_utils._access import Access
from ansible_collections.etrid.gizzi.tests.unit.ollama_client import fake_ollama


def test_its_log_is_counted(gateway: gateways.Gateway) -> None:
    known = Known(frozenset({"ollama", "api"}), frozenset({"validator01", "validator02"}), {"127.0.0.1": "validator02"})
    state = State(0, 0)
    asked = [
        ("/api/version", None, gateways.TOKEN),
        ("/api/chat", b"no JSON", gateways.TOKEN),
        ("/api/pull", {}, gateways.TOKEN),
        ("/api/version", None, "0" * 64),
        ("/%ff%01" + "x" * 6000, None, ""),
    ]
    for path, body, token in asked:
        gateway.ask(path, body, token=token)
        gateway_log.add(state, known, json.dumps(gateway.logged()))
    assert state.unreadable == 0
    assert {tuple(key): sums.requests for key, sums in state.counts.items()} == {
        ("ollama", "validator01", "2xx"): 1,
        ("ollama", "validator01", "4xx"): 1,
        ("ollama", "validator01", "403"): 1,
        ("ollama", "validator02", "401"): 2,
    }


def test_verify_sees_what_it_lets_through_and_what_it_serves(
    gateway: gateways.Gateway, ollama: fake_ollama.Server
) -> None:
    ollama.behave = fake_ollama.status(200, b'{"version": "0.34.2"}')
    access = Access(gateways.TOKEN, (gateway.folder / "certificate.pem").read_text())
    url = f"https://127.0.0.1:{gateway.ollama_port}"
    assert _gateway_look.let_through(url, access) == {"token": "", "stranger": 401, "change": 403}
    for port in (gateway.ollama_port, gateway.api_port):
        shown = _gateway_look.certificate(port, access)
        assert (shown["problem"], shown["addresses"]) == ("", ["127.0.0.1"])
        assert 0 < shown["left"] < 2 * 86400
