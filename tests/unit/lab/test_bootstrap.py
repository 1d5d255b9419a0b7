"""lab/bootstrap.sh on machines that cannot run the lab: it names what is missing, and stops."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).resolve().parents[3] / "lab" / "bootstrap.sh"
REQUIREMENTS = BOOTSTRAP.parents[1] / "requirements"
DEBIAN = 'ID=debian\nVERSION_ID="12"\n'


def bootstrap(
    tmp_path: Path, os_release: str, release: dict[str, str] | None = None, **programs: str
) -> subprocess.CompletedProcess[str]:
    """Run the script with this os-release, and with ``programs`` (name: shell script) before all others."""
    (tmp_path / "os-release").write_text(os_release)
    for name, script in programs.items():
        program = tmp_path / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    environment = os.environ | {
        "GIZZI_OS_RELEASE": str(tmp_path / "os-release"),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "OLLAMA_ARCHIVE": "",
        "OLLAMA_VERSION": "",
        "LAB_DEBIAN": "",
    }
    environment |= release or {}
    return subprocess.run([str(BOOTSTRAP)], env=environment, check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("os_release", "programs", "named"),
    [
        ("ID=fedora\nVERSION_ID=42\n", {}, "'fedora'"),
        ("", {}, "'unknown'"),
        (DEBIAN, {"uname": "echo riscv64"}, "riscv64"),
        (DEBIAN, {"uname": "echo x86_64", "grep": "exit 1"}, "AVX2"),
    ],
    ids=["another system", "no system named", "another processor", "an old processor"],
)
def test_an_unsupported_machine_is_told_what_is_missing(
    tmp_path: Path, os_release: str, programs: dict[str, str], named: str
) -> None:
    result = bootstrap(tmp_path, os_release, **programs)
    assert result.returncode == 2
    assert named in result.stderr
    assert "Remedy:" in result.stderr


def test_without_root_the_command_to_give_is_named(tmp_path: Path) -> None:
    result = bootstrap(
        tmp_path, DEBIAN, uname="echo x86_64", id="echo 1000", sudo="exit 1", dpkg_query="echo not-installed"
    )
    assert result.returncode == 2
    assert "Remedy: sudo apt-get update" in result.stderr


def test_debian_s_relatives_are_supported_too(tmp_path: Path) -> None:
    result = bootstrap(tmp_path, "ID=linuxmint\nID_LIKE='ubuntu debian'\n", uname="echo riscv64")
    assert "riscv64" in result.stderr


@pytest.mark.parametrize(
    ("release", "named"),
    [
        ({"OLLAMA_ARCHIVE": "/nowhere.tar.zst"}, "OLLAMA_VERSION does not say"),
        ({"OLLAMA_ARCHIVE": "/nowhere.tar.zst", "OLLAMA_VERSION": "0.34.2"}, "there is no such file"),
    ],
)
def test_a_release_that_cannot_be_run_is_told_before_all_else(
    tmp_path: Path, release: dict[str, str], named: str
) -> None:
    # With another system it would stop there next.
    result = bootstrap(tmp_path, "ID=fedora\n", release)
    assert result.returncode == 2
    assert named in result.stderr
    assert "/nowhere.tar.zst" in result.stderr


def test_a_debian_that_the_lab_does_not_run_is_told_before_all_else(tmp_path: Path) -> None:
    result = bootstrap(tmp_path, "ID=fedora\n", {"LAB_DEBIAN": "bullseye"})
    assert result.returncode == 2
    assert "LAB_DEBIAN is 'bullseye'" in result.stderr
    assert "Remedy: write bookworm (Debian 12) or trixie (Debian 13)" in result.stderr


def test_it_is_told_for_what() -> None:
    result = subprocess.run([str(BOOTSTRAP), "dmeo"], check=False, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "'dmeo'" in result.stderr
    assert "Remedy: lab/bootstrap.sh demo, or tests" in result.stderr


def test_the_tests_can_add_to_what_the_demo_has_installed() -> None:
    """As ``make setup`` does after ``make demo``: each pin of the demo's is one of the tests' too."""
    demo, dev = (
        {line.split()[0] for line in (REQUIREMENTS / name).read_text().splitlines() if "==" in line}
        for name in ("demo.txt", "dev.txt")
    )
    assert demo
    assert demo < dev


def test_make_hands_a_release_on_by_its_whole_path() -> None:
    show = "show:; @echo $$OLLAMA_ARCHIVE $$OLLAMA_VERSION"
    command = [
        "make",
        "--silent",
        "--no-print-directory",
        "--eval",
        show,
        "show",
        "OLLAMA_ARCHIVE=a b.tar.zst",
        "OLLAMA_VERSION=0.34.2",
    ]
    result = subprocess.run(command, cwd=BOOTSTRAP.parents[1], check=True, capture_output=True, text=True)
    assert result.stdout == f"{BOOTSTRAP.parents[1] / 'a b.tar.zst'} 0.34.2\n"
