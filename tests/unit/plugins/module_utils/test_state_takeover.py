# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an earlier installation by hand is made of."""

from __future__ import annotations

import pwd
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._state import _takeover
from ansible_collections.etrid.gizzi.tests.unit.plugins.ollama_values import NO_EARLIER
from ansible_collections.etrid.gizzi.tests.unit.plugins.stores import put_model

if TYPE_CHECKING:
    from pathlib import Path

UNIT = "etc/systemd/system/ollama.service"
INSTALLED = '[Service]\nUser=ollama\nExecStart=/usr/local/bin/ollama serve\nEnvironment="PATH=/usr/bin"\n'
OURS = "# Written by Ansible, role etrid.gizzi.ollama.\n[Service]\nEnvironment=OLLAMA_MODELS=/srv/mine\n"
DOCUMENT = '[Service]\nEnvironment="OLLAMA_HOST=0.0.0.0:11434"\n'


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_takeover, "ROOT", tmp_path)
    monkeypatch.setattr(pwd, "getpwnam", lambda _name: SimpleNamespace(pw_dir="/usr/share/ollama"))
    return tmp_path


def put(root: Path, path: str, content: str = "x") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


@pytest.fixture
def installed(root: Path) -> Path:
    """A host with an Ollama as install.sh and the user's document make it."""
    put(root, UNIT, INSTALLED)
    put(root, f"{UNIT}.d/override.conf", DOCUMENT)
    put(root, "usr/local/bin/ollama")
    link = root / "etc/systemd/system/default.target.wants/ollama.service"
    link.parent.mkdir()
    link.symlink_to("/etc/systemd/system/ollama.service")
    (root / "usr/local/lib/ollama").mkdir(parents=True)
    put_model(root / "usr/share/ollama/.ollama/models", "llama3.1/8b", b"config", b"weights")
    return root


def test_a_host_where_nothing_is() -> None:
    assert _takeover.takeover(["ollama", "gizzi_api", "ollama_client"]) == {
        "ollama": NO_EARLIER,
        "gizzi_api": {"files": [], "left": []},
        "ollama_client": {"files": [], "left": []},
    }


def test_an_ollama_of_install_sh(installed: Path) -> None:
    assert _takeover.takeover(["ollama"])["ollama"] == {
        "units": [f"/{UNIT}", f"/{UNIT}.d/override.conf"],
        "enabled": ["/etc/systemd/system/default.target.wants/ollama.service"],
        "commands": ["/usr/local/bin/ollama"],
        "user": "ollama",
        "server": {"host": "0.0.0.0", "url": "http://127.0.0.1:11434", "port": 11434, "on_loopback": False},
        "variables": ["OLLAMA_HOST", "PATH"],
        "store": "/usr/share/ollama/.ollama/models",
        "models": ["llama3.1:8b"],
        "left": ["/usr/local/lib/ollama", "/usr/share/ollama"],
    }


def test_one_that_a_role_has_installed_is_none(root: Path) -> None:
    put(root, UNIT, OURS)
    put(root, f"{UNIT}.d/proxy.conf", "[Service]\nEnvironment=HTTPS_PROXY=x\n")
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "usr/local/bin/ollama").symlink_to("/opt/ollama/current/bin/ollama")
    assert _takeover.takeover(["ollama"])["ollama"] == NO_EARLIER


def test_after_it_was_replaced_its_store_is_still_known(installed: Path) -> None:
    store = installed / "data/models"
    put_model(store, "phi3/mini", b"config", b"weights")
    put(installed, f"{UNIT}.d/override.conf.before-gizzi", f"{DOCUMENT}Environment=OLLAMA_MODELS=/data/models\n")
    (installed / UNIT).rename(installed / f"{UNIT}.before-gizzi")
    put(installed, UNIT, OURS)
    (installed / "usr/local/bin/ollama").rename(installed / "usr/local/bin/ollama.before-gizzi")
    found = _takeover.takeover(["ollama"])["ollama"]
    assert (found["units"], found["commands"], found["enabled"], found["server"]) == ([], [], [], None)
    assert (found["store"], found["models"]) == ("/data/models", ["phi3:mini"])
    assert found["left"] == [
        f"/{UNIT}.before-gizzi",
        f"/{UNIT}.d/override.conf.before-gizzi",
        "/usr/local/bin/ollama.before-gizzi",
        "/usr/local/lib/ollama",
        "/usr/share/ollama",
        "/data/models/blobs",
        "/data/models/manifests",
    ]


@pytest.mark.parametrize(
    ("listen", "host", "url", "on_loopback"),
    [
        ("0.0.0.0", "0.0.0.0", "http://127.0.0.1:11434", False),
        ("http://0.0.0.0:11500/", "0.0.0.0", "http://127.0.0.1:11500", False),
        ("::", "[::]", "http://127.0.0.1:11434", False),
        ("[::1]", "[::1]", "http://[::1]:11434", True),
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:11434", True),
        ("", "127.0.0.1", "http://127.0.0.1:11434", True),
    ],
)
def test_where_it_listens(installed: Path, listen: str, host: str, url: str, on_loopback: bool) -> None:
    put(installed, f"{UNIT}.d/override.conf", f"[Service]\nEnvironment=OLLAMA_HOST={listen}\n")
    server = _takeover.takeover(["ollama"])["ollama"]["server"]
    assert (server["host"], server["url"], server["on_loopback"]) == (host, url, on_loopback)


def test_a_store_that_cannot_be_read_is_not_taken_for_none(installed: Path) -> None:
    models = installed / "usr/share/ollama/.ollama/models/manifests"
    (models / "link").symlink_to("/etc")
    assert "not followed" in _takeover.takeover(["ollama"])["ollama"]["unseen"]


def test_without_a_user_who_could_own_the_models_there_is_no_store(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_name: str) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwnam", nobody)
    assert _takeover.old_store() == ""


def test_an_api_server_and_a_client_of_the_document(root: Path) -> None:
    put(
        root, "etc/systemd/system/gizzi-api.service", "[Service]\nExecStart=/usr/bin/python3 /opt/gizzi/api_server.py\n"
    )
    put(root, "opt/gizzi/api_server.py")
    put(root, "opt/validator/ollama_client.py")
    found = _takeover.takeover(["gizzi_api", "ollama_client"])
    assert found["gizzi_api"]["files"] == ["/etc/systemd/system/gizzi-api.service", "/opt/gizzi/api_server.py"]
    assert found["ollama_client"]["files"] == ["/opt/validator/ollama_client.py"]
    (root / "opt/gizzi/api_server.py").rename(root / "opt/gizzi/api_server.py.before-gizzi")
    put(root, "etc/systemd/system/gizzi-api.service", "# Written by Ansible, role etrid.gizzi.gizzi_api.\n")
    assert _takeover.takeover(["gizzi_api"])["gizzi_api"] == {
        "files": [],
        "left": ["/opt/gizzi/api_server.py.before-gizzi"],
    }


def test_an_import_is_told_while_the_old_client_is_there(root: Path) -> None:
    client = put(root, "opt/validator/ollama_client.py")
    put(root, "opt/validator/ai_dev_workers.py", "import json\nfrom ollama_client import OllamaClient\n")
    put(root, "opt/check.sh", "curl http://192.0.2.1:11434/api/tags\n")
    both = _takeover.takeover(["programs"])["programs"]
    assert [(one["path"], one["line"], one["why"]) for one in both["found"]] == [
        ("/opt/check.sh", 1, "port"),
        ("/opt/validator/ai_dev_workers.py", 2, "import"),
    ]
    client.rename(f"{client}.before-gizzi")
    assert [one["path"] for one in _takeover.takeover(["programs"])["programs"]["found"]] == ["/opt/check.sh"]
