"""The ledger: what is in it, for whom it is, and what happens when it cannot be used."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing

import pytest
from commands import configure, gizzi
from conftest import MakeSettings, Serve
from fake_ollama import say
from ollama_client import errors
from ollama_client.deadline import Deadline
from ollama_client.ledger import Ledger, exposition


def test_calls_add_up_by_tier_and_model(settings: MakeSettings) -> None:
    ledger = Ledger(settings())
    for failed in (False, True):
        ledger.record("ollama", "a:1", tokens_in=10, tokens_out=5, seconds=1.5, saved=0.25, failed=failed)
    ledger.record("ollama", "b:1")
    first, second = Ledger(settings()).usage().lines
    assert first.model_dump() == {
        "tier": "ollama",
        "model": "a:1",
        "calls": 2,
        "failures": 1,
        "tokens_in": 20,
        "tokens_out": 10,
        "seconds": 3.0,
        "dollars": 0.0,
        "saved": 0.5,
    }
    assert (second.model, second.calls) == ("b:1", 1)


def test_what_was_set_aside_is_spent_until_it_is_settled(settings: MakeSettings) -> None:
    ledger = Ledger(settings(claude={"budget": 1.0}))
    number = ledger.reserve(0.9)
    with pytest.raises(errors.BudgetError):
        ledger.reserve(0.2)
    ledger.settle(number, "m", seconds=1.0, dollars=0.1)
    second = ledger.reserve(0.9)
    ledger.settle(second, "m", seconds=1.0, dollars=None)
    assert ledger.usage().spent_today == pytest.approx(1.0)


def test_a_budget_is_a_days_and_a_clock_set_back_renews_none(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(settings(claude={"budget": 1.0}))
    ledger.reserve(1.0)
    now = time.time()
    for days, allowed in ((-1, False), (-400, False), (1, True)):
        monkeypatch.setattr("ollama_client.ledger.time.time", lambda days=days: now + 86_400 * days)
        if allowed:
            assert ledger.reserve(1.0)
        else:
            with pytest.raises(errors.BudgetError):
                ledger.reserve(1.0)


def test_the_last_days_only(settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(settings())
    ledger.record("ollama", "m")
    now = time.time()
    monkeypatch.setattr("ollama_client.ledger.time.time", lambda: now + 3 * 86_400)
    ledger.record("ollama", "m")
    assert [ledger.usage(days).lines[0].calls for days in (1, 3, 4)] == [1, 1, 2]
    assert ledger.usage().since is None


def test_a_ledger_that_cannot_be_used_stops_spending_and_nothing_else(
    settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(settings())
    ledger.path.parent.parent.mkdir(parents=True)
    ledger.path.parent.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        ledger.record("ollama", "m")
    assert "not written to the ledger" in caplog.text
    for use in (lambda: ledger.reserve(0.01), ledger.usage):
        with pytest.raises(errors.LedgerError):
            use()


def test_a_line_that_no_program_of_ours_has_written_is_an_error(settings: MakeSettings) -> None:
    ledger = Ledger(settings())
    ledger.record("rules")
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as database:
        database.execute("UPDATE usage SET tier = x'00ff'")
    with pytest.raises(errors.LedgerError, match="a line that is not of a ledger"):
        ledger.usage()


def test_it_is_for_this_user_alone(settings: MakeSettings) -> None:
    ledger = Ledger(settings())
    ledger.record("rules")
    assert ledger.path.parent.stat().st_mode & 0o777 == 0o700


def test_another_program_is_waited_for_no_longer_than_the_caller_has(
    settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(settings())
    number = ledger.reserve(0.5)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as another:
        another.execute("BEGIN")
        # It only reads: what is written cannot be kept until it has ended.
        another.execute("SELECT * FROM usage").fetchall()
        start = time.monotonic()
        ledger.record("rules", until=Deadline(0.5))
        with pytest.raises(errors.LedgerError, match="locked"):
            ledger.reserve(0.01, Deadline(0.5))
        ledger.settle(number, "m", until=Deadline(-1), seconds=1.0, dollars=0.1)
        assert 1.0 <= time.monotonic() - start < 2.0
    assert caplog.text.count("not written to the ledger") == 2
    assert ledger.usage().spent_today == 0.5


def test_gizzi_ask_ends_in_time_whoever_holds_the_ledger(serve: Serve, settings: MakeSettings) -> None:
    made = settings(serve(say("Paris.")))
    configure(made)
    ledger = Ledger(made)
    ledger.record("rules")
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as another:
        another.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        result = gizzi("ask", "--timeout", "1", "What is the capital of France?")
        assert time.monotonic() - start < 2.0
    assert (result.exit_code, result.stdout) == (0, "Paris.\n")


def test_the_file_for_prometheus(settings: MakeSettings) -> None:
    ledger = Ledger(settings(claude={"budget": 1.5}))
    ledger.record("ollama", 'a"b\\c', tokens_in=10, saved=0.25)
    text = exposition(ledger.usage())
    # The files of two users lie in one folder, and no series may be there twice.
    own = f'ledger="{ledger.path}"'
    assert f'gizzi_calls_total{{tier="ollama",model="a\\"b\\\\c",{own}}} 1\n' in text
    assert f'gizzi_tokens_total{{tier="ollama",model="a\\"b\\\\c",{own},direction="in"}} 10\n' in text
    assert f"gizzi_budget_dollars{{{own}}} 1.5\n" in text
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names)) == 8
