# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make release VERSION=…: the changelog is written, committed and tagged, once, and nothing is done halfway."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[3]
COPIED = [
    "galaxy.yml",
    "README.md",
    "changelogs",
    "publishing/changelog.sh",
    "publishing/prepare.sh",
    "meta/runtime.yml",
]


def git(checkout: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    result = subprocess.run(["git", *identity, *arguments], cwd=checkout, check=True, capture_output=True, text=True)
    return result.stdout.strip()


@pytest.fixture(name="checkout")
def fixture_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The collection's own fragments in a repository of their own, at the version before."""
    for variable in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
        monkeypatch.setenv(variable, "a")
    for variable in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(variable, "a@example.org")
    checkout = tmp_path / "checkout"
    for name in COPIED:
        target = checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, target)
    (checkout / "changelogs/changelog.yaml").write_text("---\nancestor:\nreleases: {}\n")
    (checkout / "changelogs/fragments/one.yml").write_text("---\nminor_changes:\n  - one - is told in the changelog.\n")
    git(tmp_path, "init", "--quiet", str(checkout))
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "before")
    return checkout


def prepare(checkout: Path, version: str) -> subprocess.CompletedProcess[str]:
    command = [str(checkout / "publishing/prepare.sh"), version]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_changelog_is_committed_and_tagged_once(checkout: Path) -> None:
    first = prepare(checkout, "2.0.0")
    assert first.returncode == 0, first.stderr
    assert yaml.safe_load((checkout / "galaxy.yml").read_text())["version"] == "2.0.0"
    assert "one - is told in the changelog." in (checkout / "CHANGELOG.rst").read_text()
    assert list(yaml.safe_load((checkout / "changelogs/changelog.yaml").read_text())["releases"]) == ["2.0.0"]
    assert not list((checkout / "changelogs/fragments").glob("*.yml"))
    assert git(checkout, "status", "--porcelain") == ""
    commit = git(checkout, "rev-parse", "HEAD")
    assert git(checkout, "rev-parse", "v2.0.0^{commit}") == commit
    again = prepare(checkout, "2.0.0")
    assert (again.returncode, again.stdout) == (0, "")
    assert git(checkout, "rev-parse", "HEAD") == commit


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "1.0.0;id", ""])
def test_a_wrong_version_changes_nothing(checkout: Path, version: str) -> None:
    result = prepare(checkout, version)
    assert result.returncode == 1
    assert f"'{version}'" in result.stderr
    assert "as 1.0.0 is" in result.stderr
    assert git(checkout, "tag") == git(checkout, "status", "--porcelain") == ""


def test_files_that_are_not_committed_stop_it(checkout: Path) -> None:
    (checkout / "new").write_text("x")
    result = prepare(checkout, "2.0.0")
    assert result.returncode == 1
    assert "git stash" in result.stderr
    assert git(checkout, "tag") == ""
    assert not (checkout / "CHANGELOG.rst").exists()


def test_a_tag_of_another_commit_is_kept(checkout: Path) -> None:
    git(checkout, "tag", "v2.0.0")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "after")
    result = prepare(checkout, "2.0.0")
    assert result.returncode == 1
    assert "git switch --detach v2.0.0" in result.stderr
    assert git(checkout, "rev-parse", "v2.0.0") != git(checkout, "rev-parse", "HEAD")
