"""lab/control/ansible.sh: Ansible's commands go to the lab's control host, the lab's own playbooks stay here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
SHOW = '#!/bin/sh\necho "$0"; printf "%s\\n" "$@"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a lab's folder as create.yml makes it, and beside it programs that print how they were called."""
    for name in ("bin", "inventory", "programs"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "ansible-playbook").symlink_to(PROJECT / "lab" / "control" / "ansible.sh")
    (tmp_path / "inventory" / "hosts.yml").write_text("all:\n  vars:\n    lab_prefix: gizzi-1234-fleet\n")
    for name in ("docker", "ansible-playbook"):
        program = tmp_path / "programs" / name
        program.write_text(SHOW)
        program.chmod(0o755)
    return tmp_path


def called(folder: Path, *arguments: str, **environment: str) -> list[str]:
    """Return the lines that the program prints that ``ansible-playbook`` has become."""
    path = f"{folder}/bin:{folder}/programs:{os.environ['PATH']}"
    result = subprocess.run(
        ["ansible-playbook", *arguments],
        env={"PATH": path, **environment},
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return result.stdout.splitlines()


def test_a_playbook_runs_on_the_control_host(folder: Path) -> None:
    program, *arguments = called(
        folder, "site.yml", "--extra-vars", '{"a b": 1}', ANSIBLE_CONFIG="a.cfg", LAB_HOLD_TASK="two words", OTHER="x"
    )
    assert program == str(folder / "programs" / "docker")
    user = f"{os.getuid()}:{os.getgid()}"
    options = ["--env", "ANSIBLE_CONFIG", "--env", "LAB_HOLD_TASK", "--user", user, "--workdir", str(folder)]
    command = [
        "gizzi-1234-fleet-control",
        "/opt/ansible/bin/ansible-playbook",
        "site.yml",
        "--extra-vars",
        '{"a b": 1}',
    ]
    assert arguments == ["exec", *options, *command]


def test_a_playbook_of_the_lab_runs_on_this_machine(folder: Path) -> None:
    playbook = str(PROJECT / "lab" / "playbooks" / "destroy.yml")
    assert called(folder, "--diff", playbook) == [str(folder / "programs" / "ansible-playbook"), "--diff", playbook]


def test_without_a_control_host_nothing_runs_instead(folder: Path) -> None:
    (folder / "inventory" / "hosts.yml").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        called(folder, "site.yml")
