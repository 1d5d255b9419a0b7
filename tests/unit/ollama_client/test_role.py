"""The settings that the role writes are those that the program reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ollama_client import Settings
from ollama_client.errors import SettingsError
from ollama_client.settings import load

from ansible_collections.etrid.gizzi.tests.unit.plugins.judging import judge

Written = Callable[..., Settings]


@pytest.fixture
def written() -> Written:
    """Return a function that writes the settings as the role does, and reads them as the program does."""

    def write(**given: Any) -> Settings:
        named = {f"ollama_client_{name}": value for name, value in given.items()}
        values, problems = judge("ollama_client", named)
        assert problems == []
        Path(os.environ["GIZZI_CONFIG"]).write_text(values["config"], encoding="utf-8")
        return load()

    return write


def test_the_context_is_the_servers(written: Written) -> None:
    assert written().prompt.context_tokens == 4096
    # As text too: it comes from -e.
    for given in (8192, "8192"):
        found = written(context_length=given)
        assert (found.prompt.context_tokens, found.prompt.answer_tokens) == (8192, 768)


def test_settings_of_its_own_go_over_it(written: Written) -> None:
    found = written(context_length=8192, settings={"prompt": {"temperature": 0.5}})
    assert (found.prompt.context_tokens, found.prompt.temperature) == (8192, 0.5)
    own = {"prompt": {"context_tokens": 2048}}
    assert written(context_length=8192, settings=own).prompt.context_tokens == 2048


def test_a_context_without_room_for_a_prompt_is_refused(written: Written) -> None:
    with pytest.raises(SettingsError, match="context_tokens is 512, and answer_tokens is 768"):
        written(context_length=512)
