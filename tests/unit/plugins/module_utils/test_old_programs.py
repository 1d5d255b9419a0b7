# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that speak plain Ollama: which are found, where nobody looks, and where the search ends."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.etrid.gizzi.plugins.module_utils._state import _old_programs
from ansible_collections.etrid.gizzi.plugins.module_utils._state._old_programs import old_programs

ROLES = Path(__file__).parents[4] / "roles"
ASKS = "import requests\nrequests.post('http://localhost:11434/api/generate')\n"
NOTHING: dict[str, Any] = {"found": [], "complete": True}


def write(root: Path, path: str, content: str | bytes = ASKS) -> Path:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def found(root: Path) -> dict[str, tuple[int, str]]:
    """What is found, where the search is complete."""
    result = old_programs(root)
    assert result["complete"] is True
    return {one["path"]: (one["line"], one["why"]) for one in result["found"]}


@pytest.mark.parametrize(
    "path",
    [
        "/opt/validator/ai_dev_workers.py",
        "/srv/bot/settings.json",
        "/home/user/bin/ask",
        "/root/.env",
        "/root/.bashrc",
        "/usr/local/bin/ask",
        "/usr/local/sbin/ask.sh",
        "/etc/systemd/system/worker.service",
        "/etc/systemd/system/worker.service.d/ollama.conf",
        "/etc/cron.d/ask",
        "/etc/cron.daily/ask",
        "/etc/cron.hourly/ask",
        "/etc/cron.weekly/ask",
        "/etc/cron.monthly/ask",
        "/etc/crontab",
        "/var/spool/cron/crontabs/root",
        "/etc/default/worker",
        "/opt/1/2/3/4/5/6/7/ask.py",
    ],
)
def test_where_programs_are(tmp_path: Path, path: str) -> None:
    write(tmp_path, path)
    assert found(tmp_path) == {path: (2, "port")}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import ollama_client\n", (1, "import")),
        ("x = 1\n\n    from ollama_client import ask\n", (3, "import")),
        ("import os, ollama_client, sys\n", (1, "import")),
        ("python3 -c 'import ollama_client; print(1)'\n", (1, "import")),
        ("import sys; import ollama_client as c\n", (1, "import")),
        # The import is the graver one, wherever it stands.
        ("URL = 'http://10.0.0.1:11434'\nimport ollama_client\n", (2, "import")),
        ("OLLAMA_HOST=[::]:11434", (1, "port")),
        ("#!/opt/validator/ollama-client/current/bin/python\nimport ollama_client\nx = ':11434'\n", (3, "port")),
    ],
)
def test_what_tells_it(tmp_path: Path, text: str, why: tuple[int, str]) -> None:
    write(tmp_path, "/opt/validator/worker", text)
    assert found(tmp_path) == {"/opt/validator/worker": why}


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:114340/",
        "port 11434",
        "import ollama_client_of_others",
        "import ollama_client.errors",
        "from ollama_client.errors import Error",
        "from my.ollama_client import ask",
        "# a note: do not import ollama_client",
        "#!/opt/validator/ollama-client/current/bin/python\nfrom ollama_client import ask\n",
        "# Written by Ansible, role etrid.gizzi.ollama.\nhttp://127.0.0.1:11434",
        ":11434\0",
        "",
    ],
)
def test_what_does_not(tmp_path: Path, text: str) -> None:
    write(tmp_path, "/opt/validator/worker", text)
    assert old_programs(tmp_path) == NOTHING


@pytest.mark.parametrize(
    "path",
    [
        "/var/lib/ask.py",
        "/opt/bot/.git/hooks/ask",
        "/opt/bot/node_modules/ollama/index.js",
        "/opt/bot/lib/python3.11/site-packages/ollama.py",
        "/opt/bot/__pycache__/ask.py",
        "/home/node/chains/etrid/ask.py",
        "/home/node/data/db/ask.py",
        "/opt/ollama/0.9.3/ask.py",
        "/opt/gizzi-api/current/ask.py",
        "/opt/gizzi-model-update/current/ask.py",
        "/opt/validator/ollama-client/current/ask.py",
        "/opt/validator/ollama_client.py",
        "/opt/gizzi/api_server.py.before-gizzi",
        "/etc/systemd/system/ollama.service",
        "/etc/systemd/system/ollama.service.d/override.conf",
        "/opt/bot/notes.md",
    ],
)
def test_where_nobody_looks(tmp_path: Path, path: str) -> None:
    write(tmp_path, path)
    assert old_programs(tmp_path) == NOTHING


def test_the_roots_of_our_own_programs() -> None:
    roots = {
        value
        for file in ROLES.glob("*/vars/main.yml")
        for name, value in yaml.safe_load(file.read_text(encoding="utf-8")).items()
        if name.endswith("_root") and value.startswith("/opt/")
    }
    assert roots
    assert roots <= set(_old_programs._OURS)


def test_a_virtual_environments_packages(tmp_path: Path) -> None:
    write(tmp_path, "/opt/bot/env/pyvenv.cfg", "home = /usr/bin\n")
    write(tmp_path, "/opt/bot/env/share/ask.py")
    write(tmp_path, "/opt/bot/env/app/ask.py")
    write(tmp_path, "/opt/bot/share/ask.py")
    assert set(found(tmp_path)) == {"/opt/bot/env/app/ask.py", "/opt/bot/share/ask.py"}


def test_links_pipes_and_large_files_are_left_alone(tmp_path: Path) -> None:
    aside = write(tmp_path, "/elsewhere/ask.py")
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt/link.py").symlink_to(aside)
    (tmp_path / "opt/folder").symlink_to(aside.parent)
    os.mkfifo(tmp_path / "opt/pipe.py")
    write(tmp_path, "/opt/large.py", ASKS + "#" * _old_programs.MAX_BYTES)
    assert old_programs(tmp_path) == NOTHING


def test_a_folder_by_two_names_is_looked_at_once(tmp_path: Path) -> None:
    write(tmp_path, "/opt/bot/ask.py")
    write(tmp_path, "/opt/ollama/ask.py")
    (tmp_path / "srv").symlink_to(tmp_path / "opt")
    assert set(found(tmp_path)) == {"/opt/bot/ask.py"}


def test_another_filesystem_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inode = write(tmp_path, "/opt/mounted/ask.py").parent.stat().st_ino
    write(tmp_path, "/opt/bot/ask.py")
    fstat = os.fstat

    def fstat_of_two(file: int) -> os.stat_result:
        status = fstat(file)
        return os.stat_result((*status[:2], status.st_dev + (status.st_ino == inode), *status[3:]))

    monkeypatch.setattr(os, "fstat", fstat_of_two)
    assert set(found(tmp_path)) == {"/opt/bot/ask.py"}


def test_a_file_that_becomes_a_pipe_does_not_hold_it_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(write(tmp_path, "/opt/other", "").with_name("pipe.py"))
    monkeypatch.setattr(_old_programs, "_folders_in", look_at_pipe)
    assert old_programs(tmp_path) == {"found": [], "complete": False}


def look_at_pipe(search: Any, opened: int, folder: Any) -> list[str]:
    if folder.path == "/opt":
        _old_programs._look_at(search, opened, "/opt/pipe.py")
    return []


def test_a_name_is_shown_as_it_may_be(tmp_path: Path) -> None:
    write(tmp_path, "/opt/\x1b[2J.py")
    write(tmp_path, f"/srv/{'a' * 200}/{'b' * 200}.py")
    write(tmp_path, os.fsdecode(b"/srv/\xff.py"))
    assert set(found(tmp_path)) == {
        "/opt/\\x1b[2J.py",
        "/srv/\\udcff.py",
        f"/srv/{'a' * 200}/{'b' * 94}",
    }


def test_a_folder_that_is_too_deep_is_no_silence(tmp_path: Path) -> None:
    write(tmp_path, "/opt/1/2/3/4/5/6/7/8/ask.py")
    assert old_programs(tmp_path) == {"found": [], "complete": False}


def test_no_more_entries_than_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        write(tmp_path, f"/opt/deep/{number}/{number}.txt", "")
    write(tmp_path, "/srv/ask.py")
    monkeypatch.setattr(_old_programs, "MAX_ENTRIES", 10)
    result = old_programs(tmp_path)
    # The other folders' upper levels are looked at before the lower ones of this one.
    assert ([one["path"] for one in result["found"]], result["complete"]) == (["/srv/ask.py"], False)


def test_no_longer_than_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "/etc/cron.d/ask")
    write(tmp_path, "/opt/ask.py")
    seconds = count(step=0.1)
    monkeypatch.setattr(_old_programs.time, "monotonic", lambda: next(seconds))
    assert [one["path"] for one in old_programs(tmp_path)["found"]] == ["/etc/cron.d/ask", "/opt/ask.py"]
    monkeypatch.setattr(_old_programs, "MAX_SECONDS", 0.65)
    result = old_programs(tmp_path)
    assert ([one["path"] for one in result["found"]], result["complete"]) == (["/etc/cron.d/ask"], False)


def test_the_last_entries_within_the_bound_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        write(tmp_path, f"/opt/{number}.py")
    monkeypatch.setattr(_old_programs, "MAX_ENTRIES", 5)
    result = old_programs(tmp_path)
    assert (len(result["found"]), result["complete"]) == (5, False)


@pytest.mark.parametrize(("number", "complete"), [(50, True), (51, False)])
@pytest.mark.parametrize("folder", ["/opt", "/home"])
def test_no_more_programs_than_the_bound(tmp_path: Path, folder: str, number: int, complete: bool) -> None:
    for one in range(number):
        write(tmp_path, f"{folder}/{one:03}.py")
    result = old_programs(tmp_path)
    assert (len(result["found"]), result["complete"]) == (50, complete)


@pytest.mark.parametrize("name", ["opened_folder", "opened_file"])
def test_what_cannot_be_read_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write(tmp_path, "/opt/ask.py")

    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_old_programs, name, refuse)
    assert old_programs(tmp_path) == {"found": [], "complete": False}


def test_a_host_without_any_of_the_folders(tmp_path: Path) -> None:
    assert old_programs(tmp_path) == NOTHING
