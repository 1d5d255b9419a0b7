"""What Claude costs: by the settings, by a kept list, and never nothing for a model that nobody knows."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

import pytest
from conftest import MakeSettings
from ollama_client import errors
from ollama_client.prices import price, saved


def test_the_settings_come_first(settings: MakeSettings) -> None:
    claude = settings(claude={"price_in": 2.0, "price_out": 8.0}).claude
    assert price(claude, 1_000_000, 500_000) == 6.0


def test_the_list_needs_no_network(settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("a network was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    # As the model's own page has it: $2 and $10 per million.
    assert price(settings().claude, 1_000_000, 500_000) == pytest.approx(7.0)


def test_a_model_that_nobody_knows_has_no_price(settings: MakeSettings) -> None:
    claude = settings(claude={"model": "claude-unheard-of-1"}).claude
    with pytest.raises(errors.ClaudeUnsetError, match="claude-unheard-of-1 is not known") as caught:
        price(claude, 1, 1)
    assert "claude.price_in" in caught.value.hint
    assert saved(claude, 1, 1) == 0.0


def test_without_the_list_the_settings_must_say_it(settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(errors.ClaudeUnsetError):
        price(settings().claude, 1, 1)
    assert price(settings(claude={"price_in": 1.0, "price_out": 0.0}).claude, 1_000_000, 1) == 1.0


@pytest.mark.parametrize("section", [{"price_in": 1.0}, {"price_out": 1.0}])
def test_one_price_alone_is_an_error(settings: MakeSettings, section: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="price_in and price_out belong together"):
        settings(claude=section)


def test_the_command_does_not_import_what_it_may_not_need() -> None:
    code = (
        "import sys, ollama_client.cli.app;"
        "print([n for n in ('genai_prices', 'anthropic', 'httpx2') if n in sys.modules])"
    )
    places = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=places, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
