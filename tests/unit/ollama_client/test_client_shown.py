"""Text from outside, wherever the command gizzi shows it: what cannot be seen is shown as an escape."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import fake_ollama
import fleets
import pytest
from commands import configure, gizzi
from conftest import MakeSettings, Serve
from fake_ollama import say
from ollama_client import Settings
from ollama_client.errors import GizziError
from ollama_client.ledger import Ledger
from ollama_client.shown import shown, shown_json, shown_lines, shown_pieces

# Common to all that show text from outside.
CASES = json.loads((Path(__file__).parents[1] / "recorded" / "shown.json").read_text(encoding="utf-8"))["cases"]
JOINERS = {"\u200c", "\u200d"}
# A colour, a link, a title, markup of rich in good and bad order, a tag, a soft hyphen, marks of direction.
ODD = "a\x1b[31mb\x1b]8;;http://x\x07c\x9b2Jd[/nope][red]e\U000e0041f\xadg\u061ch\u202ei"
SEEN = r"a\x1b[31mb\x1b]8;;http://x\x07c\x9b2Jd[/nope][red]e\U000e0041f\xadg\u061ch\u202ei"


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case["text"]))
def test_the_common_table(case: dict[str, str]) -> None:
    assert shown(case["text"]) == case["shown"]
    assert json.loads(shown_json([case["text"]])) == [case["text"]]
    kept = set(case["shown"]) & JOINERS
    assert {one for one in shown_json([case["text"]]) if not one.isprintable()} == {"\n"} | kept


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case["text"]))
def test_in_pieces_it_is_the_same(case: dict[str, str]) -> None:
    text = f"{case['text']}\r\n\ta\rb\r"
    for size in (1, 2, 3):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert "".join(shown_pieces(pieces)) == shown_lines(text)


def test_a_piece_is_shown_as_soon_as_it_is_known_what_it_is() -> None:
    assert list(shown_pieces(["Par", "is.\r", "\n", "\U0001f468", "\u200d", "\U0001f467\u200d"])) == [
        *("Par", "is.", "\n", "\U0001f468", "", "\u200d\U0001f467"),
        r"\u200d",
    ]


def test_a_text_of_several_lines_keeps_them() -> None:
    assert shown_lines("one\n\ttwo\r\nthree\rfour\u2028five\n") == "one\n    two\nthree\\rfour\\u2028five\n"


def test_an_error_shows_what_it_was_told() -> None:
    error = GizziError(ODD, endpoint=ODD, hint=ODD)
    assert str(error) == f"{SEEN}: {SEEN}. {SEEN}"
    assert error.message == ODD, "for programs as it came"


def clean(*arguments: str) -> str:
    """Run a command; return both its outputs, which have nothing that a terminal obeys or a reader does not see."""
    result = gizzi(*arguments)
    told = result.stdout + result.stderr
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)
    assert told.replace("\n", "").isprintable(), ascii(told)
    return told


def test_what_the_api_says(serve: Serve, settings: MakeSettings) -> None:
    one = fleets.validator(1, name=ODD, status="offline", reason=ODD)
    api = serve(fleets.api(lambda: fleets.network(one, stale=True, error=ODD)))
    configure(settings(serve(say("x")), api={"url": api.url}))
    table = clean("status")
    assert SEEN in table and table.count("[red]e") == 3
    clean("status", "--json")
    clean("health")
    clean("health", "--json")
    assert SEEN in clean("analyze", "/api/network/status", "?")
    api.behave = fake_ollama.status(404, json.dumps({"detail": ODD}).encode())
    assert SEEN in clean("analyze", "/x", "?")
    clean("analyze", "/x", "?", "--json")


def test_what_a_model_says(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(serve(say(f"{ODD}\nnext"))))
    assert clean("ask", "?") == f"{SEEN}\nnext\n"
    answer = clean("ask", "?", "--json")
    assert json.loads(answer)["text"] == f"{ODD}\nnext"


@pytest.mark.parametrize("given", [("--json",), ()])
def test_what_a_server_says_in_an_error(serve: Serve, settings: MakeSettings, given: tuple[str, ...]) -> None:
    configure(settings(serve(fake_ollama.status(500, json.dumps({"error": ODD}).encode()))))
    assert "[/nope][red]e" in clean("ask", "?", *given)


def test_what_a_model_is_called(settings: MakeSettings) -> None:
    made: Settings = settings(model=f"m{ODD}")
    configure(made)
    for model in (ODD, "[/nope]"):
        Ledger(made).record("ollama", model, tokens_in=1, tokens_out=1, seconds=1.0)
    table = clean("usage")
    assert SEEN in table and "\n" in table and "[/nope]" in table.replace(SEEN, "")
    clean("usage", "--json")
    assert f"m{SEEN}" in clean("config")
    clean("config", "--json")


def test_what_the_settings_say() -> None:
    path = Path(os.environ["GIZZI_CONFIG"])
    path.write_text(f'model = "x"\n[api]\nurl = {json.dumps(ODD)}\n"\\u202e" = 1\n')
    clean("status")
    path.write_text("model = \x9b2J\n")
    clean("status")


def test_what_the_journal_and_the_metrics_say(
    serve: Serve, settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "journalctl"
    command.write_text("#!/bin/sh\nprintf 'a\\033[31mb\\302\\255' >&2; exit 1\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    metrics = serve(fake_ollama.status(200, b"substrate_block_height 5\n", "text/plain"))
    odd: Any = {"metrics_url": f"{metrics.url}/metrics"}
    address = "/ip4/6.6.6.6/tcp/1/p2p/\x1b[31mb\u202e"
    configure(settings(serve(say(f"Add {address}")), node=odd))
    assert r"a\x1b[31mb\xad" in clean("diagnose")
    peers = clean("peers")
    assert peers.count(r"/ip4/6.6.6.6/tcp/1/p2p/\x1b[31mb\u202e") == 2, "in the answer, and in the warning"
