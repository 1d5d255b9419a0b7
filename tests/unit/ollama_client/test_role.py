"""The settings that the role writes are those that the program reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ollama_client
import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from fleets import THRESHOLDS
from ollama_client import Settings
from ollama_client.errors import SettingsError
from ollama_client.settings import load

ROLE = Path(ollama_client.__file__).parents[4]
FOLDERS = ("defaults", "vars")

Written = Callable[..., Settings]


def variables(**given: Any) -> dict[str, Any]:
    """The role's variables, as they are without a host."""
    files = [DataLoader().load_from_file(str(ROLE / name / "main.yml"), trusted_as_template=True) for name in FOLDERS]
    found = {name: value for file in files for name, value in file.items()}
    # tests/rules shows where the thresholds come from.
    return found | {"role_path": str(ROLE), "_ollama_client_thresholds": THRESHOLDS} | given


def template(text: str, **given: Any) -> Any:
    return Templar(DataLoader(), variables(**given)).template(trust_as_template(text))


@pytest.fixture
def written() -> Written:
    """Return a function that writes the settings by the role's variables, and reads them as the program does."""

    def write(**given: Any) -> Settings:
        source = (ROLE / "templates/client.toml.j2").read_text(encoding="utf-8")
        # As the module template has it.
        text = template(f"#jinja2:trim_blocks:True\n{source}", **given)
        Path(os.environ["GIZZI_CONFIG"]).write_text(text, encoding="utf-8")
        return load()

    return write


def test_the_context_is_the_servers(written: Written) -> None:
    assert written().prompt.context_tokens == 4096
    # As text too: it comes from -e.
    for given in (8192, "8192"):
        found = written(ollama_client_context_length=given)
        assert (found.prompt.context_tokens, found.prompt.answer_tokens) == (8192, 768)


def test_settings_of_its_own_go_over_it(written: Written) -> None:
    found = written(ollama_client_context_length=8192, ollama_client_settings={"prompt": {"temperature": 0.5}})
    assert (found.prompt.context_tokens, found.prompt.temperature) == (8192, 0.5)
    own = {"prompt": {"context_tokens": 2048}}
    assert written(ollama_client_context_length=8192, ollama_client_settings=own).prompt.context_tokens == 2048


def test_a_context_without_room_for_a_prompt_is_refused(written: Written) -> None:
    with pytest.raises(SettingsError, match="context_tokens is 512, and answer_tokens is 768"):
        written(ollama_client_context_length=512)


@pytest.mark.parametrize("length", [255, 0, -1])
def test_a_length_that_is_none_is_refused_before_anything_changes(length: int) -> None:
    rules = variables()["_ollama_client_rules"]
    (rule,) = [one for one in rules if "ollama_client_context_length" in one["holds"]]
    assert template(rule["holds"], ollama_client_context_length=256) is True
    assert template(rule["holds"], ollama_client_context_length=length) is False
    told = template(rule["otherwise"], ollama_client_context_length=length)
    assert told.startswith(f"ollama_client_context_length is {length}. Give the tokens")
