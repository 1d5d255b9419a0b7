# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role release on this machine, with a service manager that only writes down what it is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[3]
UNDO = Path("/var/lib/gizzi-undo")
# A restart reads the settings of the release to which the link leads, as a service does.
SYSTEMCTL = """#!/bin/sh
cd "$(dirname "$0")"
echo "$*" >>log
case "$*" in
*show*) echo LoadState=loaded; echo "ActiveState=$(cat active 2>/dev/null || echo inactive)" ;;
*daemon-reload*) ;;
*reload*) cat ../etc/settings >running ;;
*restart*|*start*) echo active >active; cat ../etc/settings $(ls ../opt/current/name 2>/dev/null) >running ;;
*stop*) echo inactive >active; rm -f running ;;
esac
"""
ANSWER = """
- name: It answers
  ansible.builtin.command: {argv: [grep, --quiet, --line-regexp, sound, "{{ folder }}/bin/running"]}
  changed_when: false
"""

BEFORE = """
- name: Look
  ansible.builtin.set_fact: {__release_previous_answer: {reason: it is mute.}}
"""

# The run ends as if somebody had pulled the plug of the control host.
CUT = """
- name: Cut it off
  ansible.builtin.shell: kill -9 $(cat "{{ folder }}/control.pid")
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the files are root's, and so is the folder of the copies")


class Program:
    """A program with releases below a folder, and its settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Of this run alone: another checkout may run the tests too.
        self.name = f"unit-test-{os.getpid()}"
        self.undo = UNDO / self.name
        for name in ("bin", "etc", "opt"):
            (folder / name).mkdir()
        (folder / "bin/systemctl").write_text(SYSTEMCTL)
        (folder / "bin/systemctl").chmod(0o755)
        (folder / "answer.yml").write_text(ANSWER)
        (folder / "cut.yml").write_text(CUT)
        self.release("1")

    def release(self, name: str) -> None:
        (self.folder / "opt" / name).mkdir()
        (self.folder / "opt" / name / "name").write_text(f"release {name}\n")

    def play(self, release: str, settings: str, tasks: str = "main", *arguments: str, **given: Any) -> tuple[int, str]:
        files = [{"path": f"{self.folder}/etc/settings", "content": f"{settings}\n"}]
        role = {"name": "etrid.gizzi.release", "tasks_from": tasks, "rolespec_validate": False}
        variables = {
            "folder": str(self.folder),
            "release_label": "The program",
            "release_name": self.name,
            "release_root": f"{self.folder}/opt",
            "release_path": f"{self.folder}/opt/{release}",
            "release_files": files,
            "release_unit": "unit-test.service",
            "release_answer": f"{self.folder}/answer.yml",
            **given,
        }
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "environment": {"PATH": f"{self.folder}/bin:{os.environ['PATH']}"},
            "tasks": [{"name": "Use the role", "ansible.builtin.include_role": role, "vars": variables}],
        }
        (self.folder / "play.json").write_text(json.dumps([play]))
        (self.folder / "bin/log").write_text("")
        command = ["ansible-playbook", self.folder / "play.json", *arguments]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PROJECT
        ) as control:
            (self.folder / "control.pid").write_text(str(control.pid))
            output, _errors = control.communicate()
        return control.returncode, output

    @property
    def done(self) -> list[str]:
        """What the service manager was told to do."""
        lines = (self.folder / "bin/log").read_text().splitlines()
        return [line.split()[0] for line in lines if "show" not in line and line != "daemon-reload"]

    @property
    def running(self) -> str:
        path = self.folder / "bin/running"
        return path.read_text().replace("\n", " ").strip() if path.exists() else "nothing"

    @property
    def current(self) -> str:
        return (self.folder / "opt/current").readlink().name

    @property
    def releases(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "opt").iterdir())


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path)
    yield made
    shutil.rmtree(made.undo, ignore_errors=True)


def test_from_the_first_run_to_the_removal(program: Program) -> None:
    code, output = program.play("1", "sound", "main", "--check")
    assert (code, program.done, (program.folder / "etc/settings").exists()) == (0, [], False), output

    code, output = program.play("1", "sound")
    assert (code, program.done, program.running) == (0, ["start"], "sound release 1"), output
    assert not program.undo.exists()

    code, output = program.play("1", "sound", release_running=True)
    assert (code, (program.folder / "bin/log").read_text()) == (0, ""), output
    assert "changed=0" in output

    # The release was repaired in its place.
    code, output = program.play("1", "sound", release_running=True, release_new=True)
    assert (code, program.done) == (0, ["restart"]), output

    code, output = program.play("1", "quiet", release_quiet=[f"{program.folder}/etc/settings"])
    assert (code, program.done) == (0, []), output

    # What does not answer goes back, and what ran before is restarted.
    program.release("2")
    code, output = program.play("2", "broken", release_new=True)
    assert (code, program.done, program.running) == (2, ["restart", "restart"], "quiet release 1"), output
    assert program.releases == ["1", "current"]
    assert "The program with this release and these settings did not come up. It answers: " in output
    assert "The previous release and settings are back, and in use." in output
    assert not program.undo.exists()

    code, output = program.play("1", "sound", "remove")
    assert (code, program.done) == (0, ["stop", "reset-failed"]), output
    assert not (program.folder / "opt").exists()
    assert not (program.folder / "etc/settings").exists()
    code, output = program.play("1", "sound", "remove")
    assert (code, program.done) == (0, []), output
    assert "changed=0" in output


def test_a_host_without_one_has_none_again(program: Program) -> None:
    code, output = program.play("1", "broken", release_new=True)
    assert (code, program.done, program.running) == (2, ["start", "stop"], "nothing"), output
    assert not (program.folder / "etc/settings").exists()
    assert program.releases == []
    assert "There was no previous release to go back to" in output


def test_what_was_cut_off_is_restarted_and_goes_back_to_where_it_began(program: Program) -> None:
    """Its files are as the next run wants them, and still the service must read them."""
    program.play("1", "sound")
    program.release("2")
    program.play("2", "broken", release_unit="", release_answer=f"{program.folder}/cut.yml")
    assert (program.current, program.running, program.undo.exists()) == ("2", "sound release 1", True)
    code, output = program.play("2", "broken")
    assert (code, program.done, program.running) == (2, ["restart", "restart"], "sound release 1"), output
    assert (program.current, program.undo.exists()) == ("1", False)


def without_releases(program: Program) -> dict[str, Any]:
    """Return the variables of a program that the distribution brings: only settings and unit are the role's."""
    unit = f"{program.name}.service"
    wants = "/etc/systemd/system/multi-user.target.wants"
    files = [
        {"path": f"{program.folder}/etc/settings"},
        {"path": f"{program.folder}/etc/unit", "content": "1\n"},
        {"path": wants, "kind": "folder"},
        {"path": f"{wants}/{unit}", "kind": "link", "target": f"{program.folder}/etc/unit"},
    ]
    return {
        "release_root": "",
        "release_path": "",
        "release_unit": unit,
        "release_files": files,
        "release_reloads": [f"{program.folder}/etc/settings"],
        "release_running": True,
    }


def test_a_program_of_the_distribution_is_reloaded_where_that_is_enough(program: Program) -> None:
    given = without_releases(program)
    settings, unit = given["release_files"][:2]

    def play(content: str, tasks: str = "main", **more: Any) -> tuple[int, str]:
        settings["content"] = f"{content}\n"
        return program.play("", "", tasks, **{**given, **more})

    # Before there was one, what does not answer leaves nothing.
    code, output = play("broken", release_running=False)
    assert (code, program.done, program.running) == (
        2,
        ["start", "stop"],
        "nothing",
    )
    assert "There was no previous release to go back to" in output
    assert not (program.folder / "etc/unit").exists()

    code, output = play("sound", release_running=False)
    assert (code, program.done[-1], program.running) == (0, "start", "sound"), output

    code, output = play("sound")
    assert (code, program.done) == (0, []), output

    # The program has to read its settings again, and nobody's request is lost for it.
    (program.folder / "bin/running").write_text("earlier\n")
    code, output = play("# a remark\nsound")
    assert (code, program.done, program.running) == (0, ["reload"], "# a remark sound"), output

    code, output = play("broken")
    assert (code, program.done, program.running) == (2, ["reload", "reload"], "# a remark sound"), output
    assert "The previous release and settings are back, and in use." in output

    unit["content"] = "2\n"
    code, output = play("# a remark\nsound")
    assert (code, program.done) == (0, ["restart"]), output

    code, output = play("", "remove")
    assert code == 0, output
    assert not (program.folder / "etc/settings").exists()


def test_what_ran_before_is_looked_at_by_the_callers_tasks(program: Program) -> None:
    given = without_releases(program)
    (program.folder / "before.yml").write_text(BEFORE)
    given["release_files"][0]["content"] = "sound\n"
    program.play("", "", **given)
    given["release_files"][0]["content"] = "broken\n"
    code, output = program.play("", "", **given, release_answer_before=f"{program.folder}/before.yml")
    assert (code, program.running) == (2, "sound"), output
    assert "The previous release and settings are back, but: it is mute." in output
    program.play("", "", "remove", **given)
