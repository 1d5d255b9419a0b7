# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit of the gateway's metrics: with what it runs the program, and that the program takes it."""

from __future__ import annotations

import shlex
from pathlib import Path

import gateway_metrics
import jinja2
import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._gateway_metrics import arguments

ROLE = Path(__file__).parents[3] / "roles/gateway"
BOTH = ["0.0.0.0", "[::]"]
ADDRESSES = {"validator01": ["192.0.2.1", "2001:db8::1"]}


def command(ports: dict[str, int], listens: list[str], names: list[str]) -> list[str]:
    """Return the program and its arguments as systemd reads them in the unit."""
    loader = jinja2.FileSystemLoader(ROLE / "templates")
    environment = jinja2.Environment(
        loader=loader, trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    metrics = arguments(ports, listens, names, ADDRESSES)
    text = environment.get_template("gizzi-gateway-metrics.service.j2").render(__gateway={"metrics": metrics})
    (line,) = [line for line in text.replace("\\\n", " ").splitlines() if line.startswith("ExecStart=")]
    return shlex.split(line.removeprefix("ExecStart="))


@pytest.mark.parametrize(
    ("listens", "where"),
    [
        (BOTH, ["127.0.0.1:11443", "[::1]:11443"]),
        (["0.0.0.0"], ["127.0.0.1:11443"]),
        (["[::]"], ["[::1]:11443"]),
    ],
)
def test_each_listener_is_looked_at(listens: list[str], where: list[str]) -> None:
    words = command({"ollama": 11443}, listens, [])
    assert [word for word in words if word.startswith("--listener=")] == [f"--listener=ollama={one}" for one in where]


def test_clients_with_and_without_addresses() -> None:
    words = command({"ollama": 11443, "api": 8443}, BOTH, ["validator01", "validator02"])
    assert words[-2:] == ["validator01=192.0.2.1,2001:db8::1", "validator02"]
    assert sum(word.startswith("--listener=api=") for word in words) == 2


def test_the_program_takes_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gateway_metrics, "count", lambda state, known: None)
    monkeypatch.setattr(gateway_metrics, "served", lambda listener: None)
    words = command({"ollama": 11443, "api": 8443}, BOTH, ["validator01", "validator02"])
    assert words[:2] == ["/usr/bin/python3", "/usr/local/lib/gizzi-gateway-metrics/gateway_metrics.py"]
    folders = [f"--folder={tmp_path}" if word.startswith("--folder=") else word for word in words[2:]]
    assert gateway_metrics.main(folders) == 0
    up = (tmp_path / "gizzi-gateway.prom").read_text()
    assert up.count("gizzi_gateway_up{") == 4
