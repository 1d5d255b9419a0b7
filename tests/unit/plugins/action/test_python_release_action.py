# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.etrid.gizzi.plugins.action import python_release

if TYPE_CHECKING:
    from collections.abc import Callable

    Act = Callable[..., dict[str, Any]]


class Host:
    """What the action does to a host."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.sent = b""
        self.removed = 0
        self.missing = ""
        self.apt: dict[str, Any] = {}


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch, host: Host, tmp_path: Path) -> Act:
    (tmp_path / "src").mkdir()
    for name in ("README.md", "requirements.txt", "src/a.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1"\n')

    def run(changed: bool = True, check_mode: bool = False, **given: Any) -> dict[str, Any]:
        arguments = {"label": "P", "prefix": "p", "root": "/opt/p", "source": str(tmp_path), **given}
        shell = Mock(tmpdir=None)
        shell.join_path.side_effect = lambda *parts: "/".join(parts)
        action = python_release.ActionModule(
            Mock(args=arguments, async_val=0, check_mode=check_mode), Mock(_shell=shell), Mock(), Mock(), Mock(), Mock()
        )

        def execute(name: str, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
            host.calls.append((name, dict(arguments)))
            return host.apt if name == "ansible.builtin.apt" else {"changed": changed, "missing_package": host.missing}

        def send(local: str, remote: str) -> None:
            assert remote == "/home/x/tmp/program.tar"
            host.sent = Path(local).read_bytes()

        monkeypatch.setattr(action, "_execute_module", execute)
        monkeypatch.setattr(action, "_make_tmp_path", lambda: setattr(shell, "tmpdir", "/home/x/tmp"))
        monkeypatch.setattr(action, "_transfer_file", send)
        monkeypatch.setattr(action, "_fixup_perms2", lambda paths: None)
        monkeypatch.setattr(action, "_remove_tmp_path", lambda path: setattr(host, "removed", host.removed + 1))
        result: dict[str, Any] = action.run(task_vars={})
        return result

    return run


def test_a_release_that_is_there_costs_one_call(act: Act, host: Host) -> None:
    act(changed=False)
    act(check_mode=True)
    assert [name for name, _arguments in host.calls] == ["etrid.gizzi.python_release"] * 2
    assert (host.sent, host.removed) == (b"", 0)
    assert host.calls[0][1]["version"] == "1"
    assert host.calls[0][1]["program"] is True


def test_a_new_one_is_sent_and_built(act: Act, host: Host) -> None:
    act()
    (_first, looked), (_second, built) = host.calls
    assert "archive" not in looked
    assert built["archive"] == "/home/x/tmp/program.tar"
    assert built["checksum"] == hashlib.sha256(host.sent).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(host.sent)) as tar:
        assert "program/src/a.py" in tar.getnames()
    assert host.removed == 1


def test_the_missing_package_is_installed_first(act: Act, host: Host) -> None:
    host.missing = "python3.11-venv"
    act()
    assert [name for name, _arguments in host.calls][1] == "ansible.builtin.apt"
    assert host.calls[1][1]["name"] == "python3.11-venv"
    host.apt = {"failed": True, "msg": "no such package"}
    assert act() == host.apt


def test_without_a_program_of_its_own(act: Act, host: Host) -> None:
    act(changed=False, version="7")
    assert (host.calls[0][1]["version"], host.calls[0][1]["program"]) == ("7", False)


def test_what_cannot_be_packed(act: Act, tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match="holds no program"):
        act(source=str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnsibleActionFail, match="no wheels"):
        act(wheelhouse=str(tmp_path / "empty"))
