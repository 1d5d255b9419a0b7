# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's configuration and unit by their values: nginx itself and systemd judge them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import gateways
import pytest


def judged(folder: Path, **changed: Any) -> subprocess.CompletedProcess[str]:
    """Let nginx check a configuration of these values."""
    configuration = gateways.write(folder, gateways.values(**changed))
    command = [gateways.NGINX, "-t", "-e", "stderr", "-c", configuration, "-g", "user root;" * (os.getuid() == 0)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"ollama": None},
        {"api": None},
        {"ollama": {"options": {"num_ctx": 256}}},
        {"ollama": {"options": {"num_ctx": 4096, "num_thread": 4, "num_gpu": 0}}},
        {"listens": ["0.0.0.0"]},
        {"listens": ["0.0.0.0", "[::]"]},
    ],
    ids=str,
)
def test_nginx_takes_it_without_a_warning(tmp_path: Path, changed: dict[str, Any]) -> None:
    result = judged(tmp_path, **changed)
    assert result.returncode == 0, result.stderr
    assert not [level for level in ("[warn]", "[error]", "[alert]") if level in result.stderr]


def test_there_is_only_the_listener_that_is_wanted() -> None:
    both, ollama, api = (
        gateways.rendered("nginx.conf.j2", gateways.values(**changed))
        for changed in ({}, {"api": None}, {"ollama": None})
    )
    assert (both.count("listen "), ollama.count("listen "), api.count("listen ")) == (2, 1, 1)
    assert "tokens/" not in api
    assert "js_" not in api
    assert "8443" not in ollama


def test_a_folder_without_tokens_is_one_that_lets_nobody_in(tmp_path: Path) -> None:
    gateways.write(tmp_path, gateways.values())
    shutil.rmtree(tmp_path / "tokens")
    command = [gateways.NGINX, "-t", "-q", "-e", "stderr", "-c", tmp_path / "nginx.conf"]
    subprocess.run(command, check=True, capture_output=True)


def test_a_key_of_another_certificate_is_seen_before_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    gateways.certificate(tmp_path / "b")
    gateways.write(tmp_path / "a", gateways.values())
    shutil.copy(tmp_path / "b/key.pem", tmp_path / "a/key.pem")
    command = [gateways.NGINX, "-t", "-q", "-e", "stderr", "-c", tmp_path / "a/nginx.conf"]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert "key values mismatch" in result.stderr


def test_the_unit_is_strict(tmp_path: Path) -> None:
    unit = tmp_path / "gizzi-gateway.service"
    unit.write_text(gateways.rendered("gizzi-gateway.service.j2", gateways.values()))
    lines = unit.read_text().splitlines()
    assert {"User=gizzi-gateway", "CapabilityBoundingSet=", "ProtectSystem=strict", "NoNewPrivileges=yes"} <= set(lines)
    # The check comes first, at a start and at a reload.
    checks = [line for line in lines if line.startswith(("ExecStartPre=", "ExecReload="))]
    assert [" -t " in line for line in checks] == [True, True, False]
