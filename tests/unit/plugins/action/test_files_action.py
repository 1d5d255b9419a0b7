# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.etrid.gizzi.plugins.action import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Act = Callable[..., dict[str, Any]]


@pytest.fixture
def role(tmp_path: Path) -> Path:
    for name in ("templates", "files"):
        (tmp_path / name).mkdir()
    (tmp_path / "templates/a.j2").write_text(
        "# {{ ansible_managed }}\n{% for one in listed %}\n{{ one }}\n{% endfor %}\n{% include 'part.j2' %}\n"
    )
    (tmp_path / "templates/part.j2").write_text("port {{ port | default('none') }}\n")
    (tmp_path / "templates/secret.j2").write_text("{{ secret.missing }}")
    (tmp_path / "templates/fault.j2").write_text("{{ undef('it was ' ~ secret) }}")
    (tmp_path / "files/program.py").write_text("{{ not a template }}\n")
    return tmp_path


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch, role: Path) -> Act:
    """Run the action for the role, and return what the module is called with."""

    def run(*entries: dict[str, Any], state: str = "present", **variables: Any) -> dict[str, Any]:
        loader = DataLoader()
        task = Mock(args={"name": "test", "state": state, "files": list(entries)}, async_val=0)
        task.get_search_path.return_value = [str(role)]
        action = files.ActionModule(task, Mock(), Mock(), loader, Templar(loader, {}), Mock())
        called: dict[str, Any] = {}

        def execute(name: str, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
            assert name == "etrid.gizzi.files"
            called.update(arguments)
            return {"changed": False}

        monkeypatch.setattr(action, "_execute_module", execute)
        assert action.run(task_vars={"ansible_search_path": [str(role)], **variables}) == {"changed": False}
        return called

    return run


def test_templates_are_rendered_as_the_module_template_does(act: Act) -> None:
    entries = [
        {"path": "/a", "template": "a.j2", "mode": "0600"},
        {"path": "/b", "template": "a.j2", "vars": {"port": 1}},
    ]
    # Ansible's own says when and where it was rendered.
    called = act(*entries, listed=["x", "y"], ansible_managed="on {{ template_host }}")
    text = "# Written by Ansible, collection etrid.gizzi: a change here is lost.\nx\ny\nport {}\n"
    assert called["files"] == [
        {"path": "/a", "mode": "0600", "content": text.format("none")},
        {"path": "/b", "content": text.format(1)},
    ]


def test_sources_and_contents_are_taken_as_they_are(act: Act) -> None:
    called = act(
        {"path": "/a", "source": "program.py"}, {"path": "/b", "content": ""}, {"path": "/c", "kind": "folder"}
    )
    assert called["files"] == [
        {"path": "/a", "content": "{{ not a template }}\n"},
        {"path": "/b", "content": ""},
        {"path": "/c", "kind": "folder"},
    ]


def test_a_secret_goes_its_own_way(act: Act) -> None:
    called = act({"path": "/a", "content": "hush", "secret": True}, {"path": "/b", "content": "c", "secret": "no"})
    assert called["files"] == [{"path": "/a", "secret": True}, {"path": "/b", "secret": "no", "content": "c"}]
    assert called["secrets"] == {"/a": "hush"}


@pytest.mark.parametrize("state", ["absent", "settled"])
def test_nothing_is_rendered_for_what_is_not_brought(act: Act, state: str) -> None:
    entry = {"path": "/a", "template": "secret.j2"}
    assert act(entry, state=state)["files"] == [{"path": "/a"}]
    assert act({**entry, "when": False})["files"] == [{"path": "/a", "when": False}]


def test_what_cannot_be_rendered_is_named_without_a_secret(act: Act) -> None:
    with pytest.raises(AnsibleActionFail, match=r"/a: secret.j2 could not be rendered: .*missing"):
        act({"path": "/a", "template": "secret.j2"}, secret={})
    with pytest.raises(AnsibleActionFail) as told:
        act({"path": "/a", "template": "fault.j2", "secret": True}, secret="hush")
    assert "hush" not in str(told.value)
    assert told.value.__cause__ is None
    with pytest.raises(AnsibleActionFail, match="/a has template and content: one of them is enough"):
        act({"path": "/a", "template": "a.j2", "content": ""})
