"""What is sent to the Gizzi API, and what is told when it does not answer."""

from __future__ import annotations

import gzip
from pathlib import Path

import fake_ollama
import fleets
import pytest
from commands import configure, gizzi
from conftest import MakeSettings, Serve


@pytest.fixture
def token(tmp_path: Path) -> str:
    """The path of a token for PromQL."""
    path = tmp_path / "token"
    path.write_text("0f3c9a77\n")
    return str(path)


def test_the_token_goes_to_queries_of_prometheus_alone(serve: Serve, settings: MakeSettings, token: str) -> None:
    api, ollama = serve(fleets.api(fleets.network)), serve(fleets.api(dict))
    configure(settings(ollama, api={"url": api.url, "token_file": token}))
    for arguments in (["status"], ["status", "--json"], ["health"]):
        gizzi(*arguments)
    for path in (
        "/api/network/status",
        "/api/validator/1",
        "/api/prometheus/query/../../network/status",
        "/api/prometheus/queryx?query=up",
        "/x?/api/prometheus/query",
        "/API/prometheus/query",
    ):
        gizzi("analyze", path, "?")
    assert len(api.asked) == 9
    assert [one["path"] for one in api.asked if "authorization" in one["headers"]] == []
    gizzi("analyze", "/api/prometheus/query?query=up", "?")
    assert api.asked[-1]["headers"]["authorization"] == "Bearer 0f3c9a77"


def test_a_token_that_cannot_be_read_matters_to_queries_of_prometheus_alone(
    serve: Serve, settings: MakeSettings
) -> None:
    api = serve(fleets.api(fleets.network))
    configure(settings(api={"url": api.url, "token_file": "/nonexistent"}))
    assert gizzi("status").exit_code == 0
    result = gizzi("analyze", "/api/prometheus/query?query=up", "?")
    assert result.exit_code == 1 and "/nonexistent" in result.stderr
    assert len(api.asked) == 1


def test_what_is_packed_is_not_unpacked(serve: Serve, settings: MakeSettings) -> None:
    """A megabyte would become a gigabyte."""
    packed = gzip.compress(b'{"models": []}')

    def behave(handler: fake_ollama.Handler) -> None:
        handler.reply(200, packed, Content_Encoding="gzip")

    server = serve(behave)
    configure(settings(server, api={"url": server.url}))
    assert "it is not the Gizzi API that answers" in gizzi("status").stderr
    assert "is not Ollama" in gizzi("models").stderr
    assert {one["headers"]["accept-encoding"] for one in server.asked} == {"identity"}


def test_an_answer_has_a_largest_size(serve: Serve, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollama_client.deadline.MAX_BYTES", 1000)
    server = serve(fleets.api(lambda: {"models": [], "more": 2000 * "x"}))
    configure(settings(server, api={"url": server.url}))
    for command in ("status", "models"):
        assert "an answer of more than 1000 bytes" in gizzi(command).stderr
