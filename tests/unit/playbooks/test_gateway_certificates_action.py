# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action gateway_certificates, run by Ansible: what later tasks get from it, and what it prints."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from plays import RunPlay

HOSTS: dict[str, Any] = {"servers": {"hosts": {"gizzi": {}, "validator02": {}}}}
WANTED = {"gizzi": ["192.0.2.1", "gizzi.example.org"], "validator02": ["192.0.2.2"]}


def play(folder: Path, **options: Any) -> dict[str, Any]:
    """A play that keeps the certificates, and writes down what each host gets; also in check mode."""
    action = {"folder": str(folder / "gateway"), "hosts": WANTED, **options}
    note = {"content": "{{ __certificates | to_json }}", "dest": str(folder / "{{ inventory_hostname }}.json")}
    tasks = [
        {"etrid.gizzi.gateway_certificates": action, "register": "__certificates", "run_once": True},
        {"ansible.builtin.copy": note, "check_mode": False, "no_log": True},
    ]
    return {"hosts": "servers", "tasks": tasks}


def values(folder: Path, host: str) -> Any:
    return json.loads((folder / f"{host}.json").read_text())


def lasting(found: dict[str, Any]) -> dict[str, Any]:
    """What a second run returns again: the seconds that are left are fewer by then."""
    return {name: value for name, value in found.items() if name != "expires"}


def secret_lines(folder: Path) -> set[str]:
    """The lines of all private keys, without their first and last one."""
    keys = (one["key"] for one in values(folder, "gizzi")["certificates"].values())
    files = (path.read_text() for path in (folder / "gateway").glob("*.key"))
    return {line for text in (*keys, *files) for line in text.splitlines()[1:-1]}


def test_every_host_gets_them_and_no_key_is_shown(run_play: RunPlay, tmp_path: Path) -> None:
    result = run_play(play(tmp_path), HOSTS, "--check", "-vvv")
    assert result.returncode == 0, result.stdout + result.stderr
    assert not (tmp_path / "gateway").exists()
    predicted = values(tmp_path, "validator02")
    assert predicted["changed"] is True
    assert predicted["certificates"].keys() == predicted["expires"].keys() == WANTED.keys()
    lines = secret_lines(tmp_path)
    result = run_play(play(tmp_path), HOSTS, "-vvv", "--diff")
    assert result.returncode == 0, result.stdout + result.stderr
    lines |= secret_lines(tmp_path)
    assert len(lines) == 5 * 3
    assert not any(line in result.stdout + result.stderr for line in lines)
    assert "gateway_certificates: gizzi: it is missing" in result.stdout
    found = values(tmp_path, "validator02")
    assert found == values(tmp_path, "gizzi")
    assert 364 * 86400 < found["expires"]["gizzi"] <= 365 * 86400
    assert found["authority"] == (tmp_path / "gateway/authority.pem").read_text()
    for name, pair in found["certificates"].items():
        assert pair["certificate"] == (tmp_path / f"gateway/{name}.pem").read_text()
        assert pair["key"] == (tmp_path / f"gateway/{name}.key").read_text()
    result = run_play(play(tmp_path), HOSTS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert lasting(values(tmp_path, "gizzi")) == lasting(found) | {"changed": False}


def test_the_key_from_vault(run_play: RunPlay, tmp_path: Path) -> None:
    assert run_play(play(tmp_path), HOSTS).returncode == 0
    lines = secret_lines(tmp_path)
    before = values(tmp_path, "gizzi")
    (tmp_path / "password").write_text("hunter2")
    secret = ["--vault-password-file", str(tmp_path / "password")]
    command = ["ansible-vault", "encrypt_string", *secret, "--stdin-name", "gateway_authority_key"]
    key = tmp_path / "gateway/authority.key"
    encrypted = subprocess.run(command, input=key.read_text(), check=True, capture_output=True, text=True)
    key.unlink()
    (tmp_path / "vars.yml").write_text(encrypted.stdout)
    playing = play(tmp_path, authority_key="{{ gateway_authority_key }}") | {"vars_files": [str(tmp_path / "vars.yml")]}
    result = run_play(playing, HOSTS, *secret, "-vvv")
    assert result.returncode == 0, result.stdout + result.stderr
    assert lasting(values(tmp_path, "gizzi")) == lasting(before) | {"changed": False}
    assert not any(line in result.stdout + result.stderr for line in lines)


def test_a_failure_names_the_reason_and_shows_no_key(run_play: RunPlay, tmp_path: Path) -> None:
    playing = play(tmp_path, authority_key="{{ gateway_authority_key }}") | {
        "vars": {"gateway_authority_key": "hunter2"}
    }
    result = run_play(playing, HOSTS, "-vvv")
    assert result.returncode != 0
    assert "authority_key is no private key in PEM form without a password." in result.stdout
    assert "hunter2" not in result.stdout + result.stderr
    result = run_play(play(tmp_path, hosts={"gizzi": []}), HOSTS)
    assert result.returncode != 0
    assert "hosts.gizzi is []. It must be a list with one address or name at least." in result.stdout
