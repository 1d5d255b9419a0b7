# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journals that host_state brings: the same table of secrets as the client's, and no line takes long."""

from __future__ import annotations

import json
import time

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._state import _journal
from ansible_collections.etrid.gizzi.tests.unit import secret_cases

SECRETS = list(secret_cases.secrets())


def line_of(message: str) -> str:
    """Return a message as host_state shows it."""
    entry = json.dumps({"MESSAGE": message, "SYSLOG_IDENTIFIER": "ollama", "_PID": "7"})
    return _journal.parse_line(entry, "ollama.service").text.partition("]: ")[2]


@pytest.mark.parametrize(("text", "secret"), SECRETS, ids=[text[:40] for text, _unused in SECRETS])
def test_secrets_do_not_leave_the_host(text: str, secret: str) -> None:
    assert secret not in line_of(text)


@pytest.mark.parametrize("text", secret_cases.KEPT)
def test_what_is_no_secret_is_shown(text: str) -> None:
    assert line_of(text) == text


@pytest.mark.parametrize("line", list(secret_cases.hostile(60_000)), ids=lambda line: repr(line[:20]))
def test_no_line_takes_long(line: str) -> None:
    start = time.process_time()
    line_of(line)
    assert time.process_time() - start < 0.5


def test_only_the_start_of_a_long_line_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []

    def mask(text: str) -> str:
        looked_at.append(len(text))
        return text

    monkeypatch.setattr(_journal, "mask", mask)
    assert line_of("x" * 1_000_000)
    assert looked_at == [_journal.LONGEST]
