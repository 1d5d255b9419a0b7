# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._state import _environment, _seen
from ansible_collections.etrid.gizzi.plugins.module_utils._state._look import look as look_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "hunter2"
OVERRIDE = '[Service]\nEnvironment="OLLAMA_HOST={listen}"\nEnvironment="OLLAMA_MODELS=/srv"\n'
MANAGER = "the service manager's environment"


class FakeHost:
    """Files below a folder, what systemctl prints, and a process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manager = "LANG=C.UTF-8\nPATH=/usr/bin\n"
        self.process = "0"
        self.dropins = ""
        self.write("etc/systemd/system/ollama.service", "[Service]\nEnvironment=HOME=/var/lib/ollama\n")
        self.write("etc/systemd/system/ollama.service.d/override.conf", OVERRIDE.format(listen="[::]:11500"))
        self.write("etc/default/ollama", '# ours\nOLLAMA_NO_CLOUD="1"\n')

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def runs(self, **environ: str) -> None:
        self.process = "42"
        self.write("proc/42/environ", "".join(f"{name}={value}\0" for name, value in environ.items()))

    def systemctl(self, argv: list[str]) -> str:
        if argv == ["systemctl", "show-environment"]:
            return self.manager
        return f"MainPID={self.process}\nDropInPaths={self.dropins}\n"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    fake = FakeHost(tmp_path)
    monkeypatch.setattr(_environment, "ROOT", tmp_path)
    monkeypatch.setattr(_seen, "answer_of", fake.systemctl)
    return fake


@pytest.fixture
def look(host: FakeHost) -> Callable[..., dict[str, Any]]:
    def run(**options: Any) -> dict[str, Any]:
        result = _environment.environment(options)
        assert SECRET not in json.dumps(result)
        return result

    return run


def foreign(result: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["source"] for one in result["foreign"]}


def test_nothing_foreign(look: Any, host: FakeHost) -> None:
    host.runs(OLLAMA_HOST="[::]:11500", OLLAMA_MODELS="/srv", OLLAMA_NO_CLOUD="1", HOME="/var/lib/ollama", LANG="C")
    result = look()
    assert (result["foreign"], result["problems"]) == ([], [])
    assert result["process"] == {"unexpected": [], "secrets": []}
    here = {"host": "[::]", "url": "http://127.0.0.1:11500", "port": 11500, "on_loopback": False}
    assert result["server"] == here


def test_what_the_manager_and_others_hold(look: Any, host: FakeHost) -> None:
    host.manager += f"LLAMA_ARG_CTX_SIZE={SECRET}\nLLAMA_API_KEY=$'a b'\nHTTPS_PROXY=x\nOLLAMA_NO_CLOUD=0\n"
    host.write(
        "etc/systemd/system/ollama.service.d/local.conf",
        "[Unit]\nEnvironment=OLLAMA_UNIT=1\n[Service]\n# Environment=OLLAMA_COMMENT=1\n"
        f'Environment="OLLAMA_ORIGINS={SECRET} x" \\\n  ; in between\n  LLAMA_ARG_NO_MMAP=\nCPUWeight=1\n'
        "EnvironmentFile=-/etc/ollama.env\nEnvironmentFile=/etc/default/ollama\nPassEnvironment=OLLAMA_PASSED FOO\n",
    )
    host.write(
        "etc/ollama.env",
        f"#OLLAMA_NOT=1\nLLAMA_ARG_FILE='over\nOLLAMA_INSIDE={SECRET}'\n  OLLAMA_DEBUG = 1\nOLLAMA_X=1",
    )
    host.write("usr/lib/systemd/system/service.d/all.conf", "[Service]\nEnvironment=OLLAMA_ALL=1\n")
    local = "/etc/systemd/system/ollama.service.d/local.conf"
    assert foreign(look()) == {
        "LLAMA_API_KEY": MANAGER,
        "LLAMA_ARG_CTX_SIZE": MANAGER,
        "OLLAMA_ORIGINS": local,
        "LLAMA_ARG_NO_MMAP": local,
        "LLAMA_ARG_FILE": local,
        "OLLAMA_X": local,
        "OLLAMA_DEBUG": local,
        "OLLAMA_PASSED": local,
        "OLLAMA_ALL": "/usr/lib/systemd/system/service.d/all.conf",
    }


def test_what_the_role_is_about_to_set_is_never_unset(look: Any, host: FakeHost) -> None:
    host.manager += "OLLAMA_HOST=x\nOLLAMA_DEBUG=1\nOLLAMA_NO_CLOUD=0\nLLAMA_ARG_THREADS=9\nOLLAMA_OLD=1\n"
    result = look(
        names=["OLLAMA_HOST", "LLAMA_ARG_THREADS"], overrides={"Environment": ["OLLAMA_DEBUG=1 A=2"], "Nice": 5}
    )
    assert set(foreign(result)) == {"OLLAMA_NO_CLOUD", "OLLAMA_OLD"}
    assert result["unset"] == ["LLAMA_API_KEY", "OLLAMA_NO_CLOUD", "OLLAMA_OLD"]
    assert look(names=["LLAMA_API_KEY", "OLLAMA_HOST", "OLLAMA_OLD"])["unset"] == [
        "LLAMA_ARG_THREADS",
        "OLLAMA_DEBUG",
        "OLLAMA_NO_CLOUD",
    ]
    assert set(foreign(look(names=[], overrides={"Environment": "OLLAMA_OLD=1"}))) == {
        "OLLAMA_HOST",
        "OLLAMA_DEBUG",
        "OLLAMA_NO_CLOUD",
        "LLAMA_ARG_THREADS",
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('Environment="OLLAMA_HOST=0.0.0.0:1"', "has Environment= for OLLAMA_HOST, which the role sets itself"),
        ("EnvironmentFile=/etc/ollama.env", "has EnvironmentFile= for OLLAMA_MODELS and OLLAMA_NO_CLOUD"),
        ("UnsetEnvironment=OLLAMA_NO_CLOUD", "has UnsetEnvironment= for OLLAMA_NO_CLOUD"),
        ("Environment=", "empties Environment=, and with it what the role sets"),
        ("UnsetEnvironment=", "empties UnsetEnvironment="),
    ],
)
def test_drop_in_that_changes_what_the_role_sets(look: Any, host: FakeHost, line: str, said: str) -> None:
    host.write("etc/ollama.env", f"OLLAMA_NO_CLOUD={SECRET}\nOLLAMA_MODELS=/x\n")
    host.write("run/systemd/system/ollama.service.d/z.conf", f"[Service]\n{line}\n")
    result = look()
    assert [said in problem for problem in result["problems"]] == [True]
    assert result["problems"][0].startswith("/run/systemd/system/ollama.service.d/z.conf ")
    assert "ake " in result["problems"][0]
    assert result["foreign"] == []


def test_of_two_drop_ins_of_one_name_the_first_counts(look: Any, host: FakeHost) -> None:
    host.write("etc/systemd/system/ollama.service.d/a.conf", "")
    host.write("usr/lib/systemd/system/ollama.service.d/a.conf", "[Service]\nEnvironment=OLLAMA_MASKED=1\n")
    host.write("usr/lib/systemd/system/ollama.service.d/override.conf", "[Service]\nEnvironment=OLLAMA_OURS=1\n")
    assert look()["foreign"] == []
    host.write("srv/b.conf", "[Service]\nEnvironment=OLLAMA_B=1\n")
    host.dropins = "/etc/systemd/system/ollama.service.d/override.conf /srv/b.conf"
    assert foreign(look()) == {"OLLAMA_B": "/srv/b.conf"}


def test_what_the_process_has_that_the_files_do_not_set(look: Any, host: FakeHost) -> None:
    host.runs(OLLAMA_HOST="x", LLAMA_API_KEY=SECRET, LLAMA_ARG_X="", OLLAMA_LATER="1", OTHER="1")
    assert look(names=["OLLAMA_LATER"])["process"]["unexpected"] == ["LLAMA_API_KEY", "LLAMA_ARG_X", "OLLAMA_LATER"]


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        (f"http://user:{SECRET}@proxy:3128", True),
        (f"user:{SECRET}@proxy:3128", True),
        ("http://user@proxy:3128", False),
        ("http://proxy:3128", False),
        ("", False),
    ],
)
def test_password_of_a_proxy_is_named_and_not_told(look: Any, host: FakeHost, url: str, secret: bool) -> None:
    host.runs(HTTPS_PROXY=url, NO_PROXY="a@b")
    assert look()["process"]["secrets"] == (["HTTPS_PROXY"] if secret else [])


def test_process_that_cannot_be_seen_is_unknown(look: Any, host: FakeHost) -> None:
    assert look()["process"] == {"unseen": "The server does not run."}
    host.process = "43"
    assert "process 43 cannot be read" in look()["process"]["unseen"]


@pytest.mark.parametrize(
    ("listen", "url", "on_loopback"),
    [
        ("127.0.0.1:11434", "http://127.0.0.1:11434", True),
        ("[::1]:1", "http://[::1]:1", True),
        ("0.0.0.0:80", "http://127.0.0.1:80", False),
        ("192.0.2.1:11434", "http://192.0.2.1:11434", False),
        ("", "http://127.0.0.1:11434", True),
    ],
)
def test_where_the_server_is(look: Any, host: FakeHost, listen: str, url: str, on_loopback: bool) -> None:
    host.write("etc/systemd/system/ollama.service.d/override.conf", OVERRIDE.format(listen=listen))
    server = look()["server"]
    assert (server["url"], server["on_loopback"]) == (url, on_loopback)


def test_host_without_ollama(look: Any, host: FakeHost) -> None:
    for path in ("etc/systemd/system/ollama.service", "etc/default/ollama"):
        (host.root / path).unlink()
    (host.root / "etc/systemd/system/ollama.service.d/override.conf").unlink()
    host.manager += "OLLAMA_HOST=1\n"
    result = look(names=["OLLAMA_HOST"])
    assert (result["foreign"], result["problems"], result["server"]["port"]) == ([], [], 11434)


def test_what_systemd_does_not_say_is_unseen(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(argv: list[str]) -> str:
        raise _seen.UnseenError("systemctl: no bus")

    monkeypatch.setattr(_seen, "answer_of", refuse)
    assert look_at({"ollama_environment": {}})["ollama_environment"] == {"unseen": "systemctl: no bus"}
