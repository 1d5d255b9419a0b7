# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama logs into a namespace of its own: who reads its journal without it, or tells people to, sees nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = ("README.md", "docs", "playbooks", "plugins", "roles", "molecule")
# As a shell takes it, and as an argument of a list in YAML or Python.
READER = re.compile(
    r"""journalctl(?:(?!journalctl).){0,200}?(?:--unit[=\s]|-u[\s,"'-]+)ollama(?:\.service)?(?![\w-])""", re.DOTALL
)
# Options may come after the unit too.
AFTER = 120
NAMESPACE = "--namespace=+ollama"


def readers_without(text: str) -> list[str]:
    """Return the readers of Ollama's journal in the text that lack the namespace."""
    found = []
    for reader in READER.finditer(text):
        rest = text[reader.end() : reader.end() + AFTER].partition("journalctl")[0]
        if NAMESPACE not in reader.group() + rest:
            found.append(" ".join(reader.group().split()))
    return found


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("See journalctl -u ollama.", 1),
        ("argv: [journalctl, --unit=ollama.service, --lines=8]", 1),
        ("argv:\n  - journalctl\n  - --unit=ollama.service\n", 1),
        ('["journalctl", "-u", "ollama"]', 1),
        ("journalctl --namespace=+ollama -u flare-node; journalctl -u ollama", 1),
        ("journalctl --namespace=+ollama -u ollama", 0),
        ("argv:\n  - journalctl\n  - --unit=ollama.service\n  - --namespace=+ollama\n", 0),
        ("journalctl -u ollama-metrics", 0),
        ("journalctl --unit=ollama-metrics.service", 0),
        ("journalctl -u flare-node | gizzi ask", 0),
    ],
)
def test_a_reader_without_the_namespace_is_found(text: str, lacking: int) -> None:
    assert len(readers_without(text)) == lacking


def test_who_reads_ollamas_journal_reads_its_namespace() -> None:
    paths = [path for place in PLACES for path in [ROOT / place, *(ROOT / place).rglob("*")]]
    files = [path for path in paths if path.is_file() and path.suffix != ".pyc"]
    texts = {file: file.read_text(encoding="utf-8", errors="replace") for file in files}
    found = {str(file.relative_to(ROOT)): readers_without(text) for file, text in texts.items() if "journalctl" in text}
    # Were the tree moved, nothing would be found, and nothing would be checked.
    assert "plugins/module_utils/_state/_journal.py" in found
    assert {file: readers for file, readers in found.items() if readers} == {}
