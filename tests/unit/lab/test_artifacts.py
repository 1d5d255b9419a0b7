"""The parts of the lab's builder that need no downloads."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lab.artifacts import __main__ as command
from lab.artifacts import cache
from lab.artifacts.downloads import PINS, pinned_hashes
from lab.artifacts.errors import UnsupportedMachineError


def test_every_wheel_is_pinned() -> None:
    text = PINS.read_text(encoding="utf-8")
    assert len(pinned_hashes(text)) == text.count("==")


@pytest.mark.parametrize(
    ("machine", "flags", "reason"),
    [("aarch64", {"avx2"}, "aarch64"), ("x86_64", {"sse4_2"}, "AVX2")],
)
def test_unsupported_machine_is_told_why(machine: str, flags: set[str], reason: str) -> None:
    with pytest.raises(UnsupportedMachineError, match=reason):
        command.check_machine(machine, flags)


def test_cpu_flags_are_read() -> None:
    assert command.cpu_flags("processor\t: 0\nflags\t\t: fpu avx2\nflags : none\n") == {"fpu", "avx2"}
    assert command.cpu_flags("") == set()


def test_tree_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    tree = tmp_path / "tree-1"
    killed = tmp_path / f"{cache.UNFINISHED}killed"
    killed.mkdir()
    with pytest.raises(RuntimeError), cache.becoming(tree) as scratch:
        (scratch / "half").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with cache.becoming(tree) as scratch:
        (scratch / "whole").touch()
        assert not tree.exists()
    assert [path.name for path in tree.iterdir()] == ["whole"]


def test_trees_that_nobody_uses_are_dropped(tmp_path: Path) -> None:
    trees = [tmp_path / name for name in ("tree-used", "tree-recent", "wheelhouse-old", "tree-old")]
    for tree in trees:
        tree.mkdir()
    long_ago = time.time() - (cache.UNUSED_AFTER_DAYS + 1) * 86400
    for tree in (trees[0], *trees[2:]):
        os.utime(tree, (long_ago, long_ago))
    cache.mark_used(trees[0])
    assert sorted(tmp_path.iterdir()) == sorted(trees[:3])


def test_another_release_is_another_tree() -> None:
    keys = {cache.key(), cache.key("0.34.2 ab12"), cache.key("0.34.2 cd34"), cache.key("0.34.3 ab12")}
    assert len(keys) == 4
    assert cache.key("0.34.2 ab12") in keys
