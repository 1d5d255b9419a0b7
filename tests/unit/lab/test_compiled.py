"""What the lab's hosts keep of Ansible's modules: compiled once, never stale, and no failure of its own."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HOST = Path(__file__).parents[3] / "lab" / "images" / "host"
RUN = """
import sys, zipimport
sys.path[:0] = sys.argv[1:3]
import lab_compiled
compiled = []
def compile_source(pathname, source, original=zipimport._compile_source):
    compiled.append(pathname)
    return original(pathname, source)
zipimport._compile_source = compile_source
lab_compiled.install(sys.argv[3])
import module
print(module.VALUE, len(compiled))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def imported(value: str, folder: Path, archive: Path) -> str:
    """Import a module from an archive in a process of its own; return its value, and how often it was compiled."""
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("module.py", f"VALUE = {value!r}\n")
    command = [sys.executable, "-S", "-c", RUN, str(archive), str(HOST), str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_same_source_is_compiled_once_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    assert imported("one", folder, tmp_path / "a.zip") == "one 1"
    assert imported("one", folder, tmp_path / "b.zip") == "one 0"
    assert imported("two", folder, tmp_path / "b.zip") == "two 1"


def test_what_is_spoilt_is_compiled_anew(folder: Path, tmp_path: Path) -> None:
    imported("one", folder, tmp_path / "a.zip")
    (kept,) = (path for path in folder.rglob("*") if path.is_file())
    kept.write_bytes(kept.read_bytes()[:9])
    assert imported("one", folder, tmp_path / "a.zip") == "one 1"
    assert imported("one", folder, tmp_path / "a.zip") == "one 0"


def test_without_a_place_it_does_without(folder: Path, tmp_path: Path) -> None:
    folder.write_text("no folder")
    # Python asks twice for one import.
    assert imported("one", folder, tmp_path / "a.zip") == "one 2"
    assert imported("one", folder, tmp_path / "a.zip") == "one 2"
