"""What the package promises: its names, its errors, and that it builds with all it needs."""

from __future__ import annotations

import inspect
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import ollama_client
import pytest
from ollama_client import errors, monitoring

PACKAGE = Path(ollama_client.__file__).parents[2]


def test_public_names() -> None:
    names = ["Answer", "Data", "GizziError", "OllamaClient", "Settings", "shown_lines"]
    assert sorted(ollama_client.__all__) == sorted(["__version__", *names])
    assert [getattr(ollama_client, name).__name__ for name in names] == names
    assert sorted(monitoring.__all__) == ["AIDevWorker", "TieredHealthCheck"]
    with pytest.raises(AttributeError, match="Ollama"):
        ollama_client.__getattr__("Ollama")


def test_signatures_of_the_users_document() -> None:
    assert list(inspect.signature(ollama_client.OllamaClient).parameters)[:2] == ["host", "model"]
    assert list(inspect.signature(ollama_client.OllamaClient.query).parameters)[:3] == [
        "self",
        "prompt",
        "system_prompt",
    ]
    assert list(inspect.signature(ollama_client.OllamaClient.query_gizzi_api).parameters)[:3] == [
        "self",
        "api_endpoint",
        "analysis_prompt",
    ]
    assert list(inspect.signature(monitoring.AIDevWorker).parameters) == [
        "aidev_id",
        "anthropic_api_key",
        "monitor",
        "ollama_url",
        "optimized",
    ]


def test_every_error_is_in_the_tree_and_has_a_hint() -> None:
    found = [one for _unused, one in inspect.getmembers(errors, inspect.isclass) if one.__module__ == errors.__name__]
    assert all(issubclass(one, errors.GizziError) for one in found)
    assert errors.__doc__
    for one in found:
        assert f"{one.__name__}" in errors.__doc__
    bare = [one.__name__ for one in found if not one.hint and not one.__subclasses__()]
    assert bare == ["NoEndpointError"], "its hints are its attempts'"


def test_an_error_says_who_when_and_what_to_do() -> None:
    error = errors.SlowError("no token came", endpoint="own", elapsed=12.34)
    assert str(error).startswith("own: no token came (after 12.3 s). It may be busy with another answer: see its load.")


def test_who_is_sent_to_the_journal_sees_all_of_it() -> None:
    """Ollama writes into a namespace of its own, and did not always."""
    for kind in (errors.ServerError, errors.CutOffError):
        assert "(journalctl --namespace=+ollama -u ollama)" in kind.hint


def test_it_builds_and_runs_from_the_wheel(tmp_path: Path) -> None:
    code = f"from setuptools import build_meta as b; b.build_wheel({str(tmp_path)!r}); b.build_sdist({str(tmp_path)!r})"
    source = tmp_path / "source"
    subprocess.run(["cp", "-r", str(PACKAGE), str(source)], check=True)
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    (sdist,) = tmp_path.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        file.extractall(tmp_path / "installed")
    modules = {str(one.relative_to(PACKAGE / "src")) for one in (PACKAGE / "src").rglob("*.py")}
    assert {one for one in names if one.endswith(".py")} == modules
    assert "ollama_client/py.typed" in names
    entries = next(tmp_path.glob("installed/*.dist-info/entry_points.txt")).read_text()
    assert "gizzi = ollama_client.cli.app:main" in entries
    with tarfile.open(sdist) as file:
        assert any(name.endswith("/README.md") for name in file.getnames())
    run = [sys.executable, "-c", "from ollama_client.cli.app import main; main()", "--version"]
    told = subprocess.run(
        run, env={"PYTHONPATH": str(tmp_path / "installed")}, capture_output=True, text=True, check=True
    )
    assert told.stdout == "1.0.0\n"
