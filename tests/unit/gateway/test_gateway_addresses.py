# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's addresses on a host with IPv6 and on one without, each a network namespace of its own."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import gateways
import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._state import _system
from ansible_collections.etrid.gizzi.tests.unit.ollama_client import fake_ollama
from ansible_collections.etrid.gizzi.tests.unit.ollama_client.fake_ollama import Server, until
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.settings.test_settings_gateway import host, values

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root makes a network namespace")
HERE, NEIGHBOURS, STRANGER = "2001:db8:1::1", [f"2001:db8:1::{number:x}" for number in (2, 3, 4)], "2001:db8:2::2"


def within(folder: Path, part: str, setup: str) -> Any:
    """Return what a function of this file prints, in a network namespace that was set up by a shell."""
    command = f"ip link set lo up; {setup}; exec {sys.executable} {__file__} {part} {folder}"
    found = subprocess.run(["unshare", "--net", "sh", "-ec", command], check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def listening(folder: Path, server: Server) -> dict[str, Any]:
    """Run a gateway as it would be on this host, and return its listeners over IPv6 and what it answers over IPv4."""
    seen = {"ipv6": _system.system(Path("/"))["ipv6"]}
    listens = values(host(system=host()["system"] | seen))["listens"]
    with gateways.running(folder, f"127.0.0.1:{server.port}", listens=listens) as gateway:
        ports = {f"{port:04X}" for port in (gateway.ollama_port, gateway.api_port)}
        table = [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
        over = [line[1] for line in table if line[3] == "0A" and line[1].rpartition(":")[2] in ports]
        return {"ipv6": len(over), "ipv4": gateway.ask("/api/version").status}


def sharing(folder: Path, server: Server) -> list[int]:
    """Let neighbours take the share of the Gizzi API's connections; return what another one and a stranger get."""
    server.behave = fake_ollama.hang
    context = ssl._create_unverified_context()
    upstream = f"127.0.0.1:{server.port}"
    with gateways.running(
        folder, "127.0.0.1:1", upstream, listens=["127.0.0.1", "[::]"], api={"connections": 2}
    ) as gateway:

        def ask(address: str) -> http.client.HTTPSConnection:
            asked = http.client.HTTPSConnection(
                HERE, gateway.api_port, timeout=10, context=context, source_address=(address, 0)
            )
            asked.request("GET", "/api/network/status")
            return asked

        held = [ask(address) for address in NEIGHBOURS[:2]]
        until(lambda: len(server.asked) == 2)
        full = ask(NEIGHBOURS[2]).getresponse().status
        server.behave = fake_ollama.status(200, b"{}")
        free = ask(STRANGER).getresponse().status
        for one in held:
            one.close()
        return [full, free]


@pytest.mark.parametrize(
    ("setup", "listeners"), [(":", 2), ("sysctl -q -w net.ipv6.conf.all.disable_ipv6=1", 0)], ids=["on", "off"]
)
def test_it_listens_in_the_families_that_the_host_has(tmp_path: Path, setup: str, listeners: int) -> None:
    assert within(tmp_path, "listening", setup) == {"ipv6": listeners, "ipv4": 200}


def test_a_network_of_ipv6_has_one_share_of_the_api(tmp_path: Path) -> None:
    addresses = [HERE, *NEIGHBOURS, STRANGER]
    setup = "; ".join(f"ip address add {address}/128 dev lo nodad" for address in addresses)
    assert within(tmp_path, "sharing", setup) == [429, 200]


if __name__ == "__main__":
    with fake_ollama.running(fake_ollama.status(200, b"{}")) as ours:
        print(json.dumps({"listening": listening, "sharing": sharing}[sys.argv[1]](Path(sys.argv[2]), ours)))
