"""The pages by which pip finds the programs' dependencies."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lab import wheelhouse


def test_the_index_names_every_wheel_with_its_checksum(tmp_path: Path) -> None:
    wheels, simple = tmp_path / "wheels", tmp_path / "simple"
    wheels.mkdir()
    for name in ("typing_extensions-4.16.0-py3-none-any.whl", "Zope.Interface-7.0-cp311-cp311-linux_x86_64.whl"):
        (wheels / name).write_text(name)
    wheelhouse.write_index(wheels, simple)
    assert sorted(page.name for page in simple.iterdir()) == ["typing-extensions", "zope-interface"]
    digest = hashlib.sha256(b"typing_extensions-4.16.0-py3-none-any.whl").hexdigest()
    page = (simple / "typing-extensions" / "index.html").read_text()
    assert f'href="/wheels/typing_extensions-4.16.0-py3-none-any.whl#sha256={digest}"' in page


def test_other_requirements_or_another_python_are_another_folder(tmp_path: Path) -> None:
    api, client = tmp_path / "api.txt", tmp_path / "client.txt"
    api.write_text("click==8.5.1\n")
    client.write_text("httpx==0.28.1\n")
    wanted = [("3.11", api), ("3.13", client)]
    first = wheelhouse.key(wanted)
    assert wheelhouse.key(wanted) == first
    assert wheelhouse.key(wanted[:1]) != first
    assert wheelhouse.key([("3.11", api), ("3.11", client)]) != first
    client.write_text("httpx==0.28.2\n")
    assert wheelhouse.key(wanted) != first
