"""The settings: one file, the environment over it, and problems that are named."""

from __future__ import annotations

import os
from pathlib import Path

import ollama_client
import pytest
import tomllib
from ollama_client import OllamaClient, Settings
from ollama_client.errors import SettingsError
from ollama_client.monitoring import TieredHealthCheck
from ollama_client.settings import at, load, read_secret


@pytest.fixture
def config() -> Path:
    return Path(os.environ["GIZZI_CONFIG"])


def test_defaults() -> None:
    settings = load()
    assert (settings.model, settings.cache.seconds) == ("llama3.1:8b", 45)
    # The server's: role ollama's ollama_context_length.
    assert settings.prompt.context_tokens == 4096
    assert [one.address for one in settings.endpoints] == ["http://127.0.0.1:11434"]
    # Long enough for a CPU to load a model.
    assert settings.deadlines.first_token >= 120 <= settings.deadlines.total


def test_the_file_and_the_environment_over_it(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(
        'model = "phi3:mini"\n[deadlines]\nconnect = 1\ntotal = 60\n'
        '[[endpoints]]\nname = "own"\nurl = "http://127.0.0.1:11434"\n'
        '[[endpoints]]\nname = "central"\nurl = "https://gizzi:443"\nca_file = "/etc/gizzi/ca.pem"\n'
    )
    monkeypatch.setenv("GIZZI_DEADLINES__TOTAL", "90")
    monkeypatch.setenv("GIZZI_CACHE__SECONDS", "0")
    settings = OllamaClient().settings
    assert [one.name for one in settings.endpoints] == ["own", "central"]
    assert (settings.model, settings.cache.seconds) == ("phi3:mini", 0)
    assert (settings.deadlines.connect, settings.deadlines.total, settings.deadlines.stall) == (1, 90, 30)
    monkeypatch.setenv("GIZZI_ENDPOINTS", '[{"name": "lab", "url": "http://10.0.0.1:11434"}]')
    assert [one.name for one in load().endpoints] == ["lab"]


def test_who_may_not_read_them_is_told_what_to_do(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text('model = "phi3:mini"\n')

    # The tests may run as root, who may read everything.
    def refuse(path: Path, *_unused: object) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(SettingsError, match=f"{config}: this user may not read it. Its group may"):
        load()
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(SettingsError, match="the secret in /run/token: this user may not read it"):
        read_secret(Path("/run/token"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('modle = "x"\n', "modle"),
        ("endpoints = []\n", "endpoints"),
        ('[[endpoints]]\nname = "own"\nurl = "11434"\n', "endpoints.0.url"),
        ('[[endpoints]]\nname = "a"\nurl = "http://a"\n[[endpoints]]\nname = "a"\nurl = "http://b"\n', "twice: a"),
        ("[deadlines]\ntotal = 0\n", "deadlines.total"),
        ('[failover]\nwhen_busy = "panic"\n', "failover.when_busy"),
        ("[claude]\nbudget = -1\n", "claude.budget"),
        ("[prompt]\ncontext_tokens = 512\n", "prompt: .*context_tokens is 512, and answer_tokens is 768: 128 at least"),
        ('[node]\nunit = "a b"\n', "node.unit"),
        ("model = \n", "Invalid value"),
    ],
)
def test_a_mistake_is_named(config: Path, text: str, named: str) -> None:
    config.write_text(text)
    with pytest.raises(SettingsError, match=named) as caught:
        OllamaClient()
    assert str(config) in str(caught.value)


def test_a_file_that_cannot_be_read_is_no_reason_for_defaults(config: Path) -> None:
    config.mkdir()
    with pytest.raises(SettingsError, match="Is a directory"):
        load()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.1", "http://10.0.0.1:11434"),
        ("10.0.0.1:80", "http://10.0.0.1"),
        ("gizzi:8443", "http://gizzi:8443"),
        ("http://64.0.0.1:11434/", "http://64.0.0.1:11434"),
        ("https://gizzi", "https://gizzi"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:1234", "http://[::1]:1234"),
    ],
)
def test_a_host_becomes_an_address(host: str, address: str) -> None:
    assert at(host).address == address


@pytest.mark.parametrize("host", ["ftp://gizzi", "http://", "a b"])
def test_no_host(host: str) -> None:
    with pytest.raises(SettingsError):
        OllamaClient(host)


def test_without_thresholds_it_asks_and_judges_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIZZI_THRESHOLDS")
    client = OllamaClient(settings=Settings())
    with pytest.raises(SettingsError, match=r"has no thresholds.*with max_lag, max_finality_lag, min_peers"):
        TieredHealthCheck(client)


def test_the_readme_shows_every_setting_with_its_default() -> None:
    readme = (Path(ollama_client.__file__).parents[2] / "README.md").read_text()
    shown = tomllib.loads(readme.partition("```toml\n")[2].partition("```")[0])
    defaults = Settings().model_dump(mode="json")
    assert Settings.model_validate(shown)
    assert shown.keys() == defaults.keys()
    for section, values in shown.items():
        if isinstance(values, dict):
            left_out = {"url", "token_file", "ca_file"} if section in ("api", "claude") else set()
            assert values.keys() | left_out == defaults[section].keys() | left_out, section
            places = {"folder", "root_folder", "url", "api_key_file", "price_in", "price_out"}
            assert {key: one for key, one in values.items() if key not in places} == {
                key: one for key, one in defaults[section].items() if key not in places | left_out
            }, section
