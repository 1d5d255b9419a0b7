# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from contextlib import closing

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import NotOllamaError, Ollama
from ansible_collections.etrid.gizzi.plugins.module_utils._version import parse_version
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import OtherService


def test_versions() -> None:
    assert parse_version("0.9.3") < parse_version("0.10.0") < parse_version("0.31.2-rc1") < parse_version("v1.0.0")


@pytest.mark.parametrize("text", ["latest", "1" * 5000 + ".0.0", "0.31.\u0661"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(GizziError, match="is not a version"):
        parse_version(text)


@pytest.mark.parametrize("body", [b'{"models": 5}', b'{"models": "abc"}', b"[" * 200_000, b"[]", b'{"models": {}}'])
def test_what_is_no_list_of_models(body: bytes) -> None:
    with closing(OtherService(200, body)) as other:
        server = Ollama(other.url, 5)
        for ask in (server.models, server.loaded):
            with pytest.raises(NotOllamaError, match="did not answer with a list of models"):
                ask()


def test_a_server_without_models() -> None:
    # So older ones answer.
    with closing(OtherService(200, b'{"models": null}')) as other:
        assert Ollama(other.url, 5).models() == []


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"version": NaN}', b'{"version": 1}'])
def test_what_is_no_ollama(body: bytes) -> None:
    with closing(OtherService(200, body)) as other, pytest.raises(NotOllamaError, match="Something other than Ollama"):
        Ollama(other.url, 5).version()
