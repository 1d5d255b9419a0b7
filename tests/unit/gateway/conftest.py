# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fakes of Ollama behind a gateway that runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gateways
import pytest

from ansible_collections.etrid.gizzi.tests.unit.ollama_client import fake_ollama


@pytest.fixture
def ollama() -> Iterator[fake_ollama.Server]:
    with fake_ollama.running(fake_ollama.say("All is well", model="llama3.1:8b")) as server:
        yield server


@pytest.fixture
def gateway(tmp_path: Path, ollama: fake_ollama.Server) -> Iterator[gateways.Gateway]:
    with gateways.running(tmp_path, f"127.0.0.1:{ollama.port}") as running:
        yield running
