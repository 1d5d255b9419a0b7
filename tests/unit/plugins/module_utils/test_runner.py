# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._runner import (
    Runner,
    Unit,
    cpu_behind,
    is_loopback,
    runner_of,
    runners_behind,
)

if TYPE_CHECKING:
    from pathlib import Path

BLOB = "ab" * 32
STORE = "/var/lib/ollama/models/blobs/sha256-"
SERVER = ["/opt/ollama/current/bin/ollama", "serve"]
LLAMA_SERVER = ["/opt/ollama/0.33.0/lib/ollama/llama-server", "--model", f"{STORE}{BLOB}", "--port", "37000"]
OLD_RUNNER = ["/opt/ollama/0.9.3/bin/ollama", "runner", "--model", f"{STORE}{BLOB}", "--ctx-size", "4096"]
TREES = {"v2": "system.slice", "v1": "systemd/system.slice", "v1 and v2": "unified/system.slice"}


def host(folder: Path, processes: dict[int, list[str] | None], tree: str = "system.slice") -> Unit:
    """Make a host whose unit has these processes; None is one that /proc does not show."""
    unit = folder / "cgroup" / tree / "ollama.service"
    unit.mkdir(parents=True)
    (unit / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in processes))
    for pid, words in processes.items():
        if words is not None:
            (folder / "proc" / str(pid)).mkdir(parents=True)
            (folder / "proc" / str(pid) / "cmdline").write_bytes("".join(f"{word}\0" for word in words).encode())
    return Unit(proc=folder / "proc", cgroup=folder / "cgroup")


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
def test_the_process_that_holds_the_weights_is_named(tmp_path: Path, tree: str) -> None:
    unit = host(tmp_path, {10: SERVER, 11: LLAMA_SERVER}, tree)
    assert unit.runners() == [Runner(11, frozenset({BLOB}))]


def test_the_server_alone_holds_nothing(tmp_path: Path) -> None:
    # Ended since it was listed, and a zombie, which has no command line any more.
    assert host(tmp_path, {10: SERVER, 11: None, 12: []}).runners() == []


def test_a_unit_in_a_slice_of_its_own_is_found(tmp_path: Path) -> None:
    unit = host(tmp_path, {10: SERVER, 11: LLAMA_SERVER}, "gizzi.slice/gizzi-ai.slice")
    assert [runner.pid for runner in unit.runners() or []] == [11]


def test_what_cannot_be_seen_is_unknown(tmp_path: Path) -> None:
    assert Unit(proc=tmp_path, cgroup=tmp_path).runners() is None
    assert host(tmp_path / "hidden", {10: None, 11: None}).runners() is None
    other = host(tmp_path / "other", {10: SERVER, 11: LLAMA_SERVER})
    assert Unit("another.service", other.proc, other.cgroup).runners() is None
    # A process of another namespace of process numbers is 0.
    assert host(tmp_path / "foreign", {0: None}).runners() is None


@pytest.mark.parametrize(
    ("words", "blobs"),
    [
        (LLAMA_SERVER, {BLOB}),
        (OLD_RUNNER, {BLOB}),
        (["/usr/bin/ollama", "runner", "--ollama-engine", "--port", "37000"], set()),
        ([*LLAMA_SERVER, "--lora", f"{STORE}{'cd' * 32}"], {BLOB, "cd" * 32}),
        # It only looks for devices.
        (["/opt/ollama/lib/ollama/llama-server", "--list-devices"], None),
        (SERVER, None),
        (["ollama", "run", "runner"], None),
        (["grep", "llama-server", "--model"], None),
        ([""], None),
    ],
)
def test_a_command_line_tells_what_a_process_is(words: list[str], blobs: set[str] | None) -> None:
    runner = runner_of(5, words)
    assert runner == (None if blobs is None else Runner(5, frozenset(blobs)))


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:11434", True),
        ("http://127.1.2.3:11434", True),
        ("http://[::1]:11434", True),
        ("http://localhost:11434/ollama", True),
        ("http://10.0.0.5:11434", False),
        ("https://gizzi.example", False),
        ("http://localhost.example", False),
    ],
)
def test_only_a_server_of_this_host_is_looked_at(tmp_path: Path, url: str, here: bool) -> None:
    unit = host(tmp_path, {10: SERVER, 11: LLAMA_SERVER})
    assert is_loopback(url) is here
    assert (runners_behind(url, unit) is not None) is here


def test_the_time_that_runners_have_computed(tmp_path: Path) -> None:
    unit = host(tmp_path, {10: SERVER, 11: LLAMA_SERVER, 12: OLD_RUNNER, 13: LLAMA_SERVER, 14: LLAMA_SERVER})
    ticks = os.sysconf("SC_CLK_TCK")
    for pid, name in {10: "ollama", 11: "llama-server", 12: "a) R (b"}.items():
        stat = f"{pid} ({name}) S 1 2 3 4 5 6 7 8 9 10 {3 * ticks} {ticks} 11 12 20 0 9 0 99\n"
        (tmp_path / "proc" / str(pid) / "stat").write_text(stat)
    (tmp_path / "proc" / "13" / "stat").write_text("13 (llama-server) Z")
    assert unit.cpu_seconds() == {11: 4.0, 12: 4.0}
    assert cpu_behind("http://127.0.0.1:11434", unit) == {11: 4.0, 12: 4.0}
    assert cpu_behind("http://10.0.0.5:11434", unit) is None
    assert Unit(proc=tmp_path, cgroup=tmp_path).cpu_seconds() is None
