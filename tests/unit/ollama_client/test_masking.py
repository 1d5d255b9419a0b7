"""Secrets go, whatever they are wrapped in; what a node says of its chain stays; and no line takes long."""

from __future__ import annotations

import time

import pytest
from ollama_client import Data, masking
from ollama_client.masking import MASK, mask, plain
from ollama_client.prompts import compose, orders

from ansible_collections.etrid.gizzi.plugins.module_utils import _masking
from ansible_collections.etrid.gizzi.tests.unit import secret_cases

SECRETS = list(secret_cases.secrets())


@pytest.mark.parametrize(("text", "secret"), SECRETS, ids=[text[:40] for text, _unused in SECRETS])
def test_secrets_are_masked(text: str, secret: str) -> None:
    masked = mask(text)
    assert secret not in masked and MASK in masked
    assert mask(masked) == masked


@pytest.mark.parametrize("text", secret_cases.KEPT)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask(text) == text


def test_nothing_of_a_nodes_journal_is_masked() -> None:
    journal = secret_cases.journal(100_000)
    assert mask(journal) == journal


@pytest.mark.parametrize("line", list(secret_cases.hostile(60_000)), ids=lambda line: repr(line[:20]))
def test_no_line_takes_long(line: str) -> None:
    start = time.process_time()
    compose("Well?", [Data("journal", line, keep="end"), Data("metrics", f"token={line}")], 3000)
    orders(line)
    assert time.process_time() - start < 1.0


def test_a_huge_journal_is_read_no_further_than_it_can_be_used() -> None:
    journal = "\n".join(f"line {number} is token=a.b" + 90 * "." for number in range(1_000_000))
    start = time.process_time()
    prompt = compose("Well?", [Data("journal", journal, keep="end")], 3000)
    assert time.process_time() - start < 1.0
    assert "line 999999 is" in prompt and "of 1000000 lines do not fit]" in prompt


@pytest.mark.parametrize("keep", ["start", "end"])
def test_no_secret_escapes_at_the_cut(keep: str) -> None:
    """Wherever the journal is cut, the name of a secret goes with it."""
    secret = secret_cases.made(secret_cases.ANY, 24)
    for blanks in range(0, 200, 7):
        text = " " * blanks + f"password: '{secret} {secret}' " * 8000
        assert secret not in compose("Well?", [Data("journal", text, keep=keep)], 600)  # type: ignore[arg-type]


def test_the_modules_have_the_same_rules() -> None:
    assert _masking._RULES == masking._RULES


@pytest.mark.parametrize("unseen", ["\U000e0041", "\u061c", "\u00ad", "\u202e", "\u200b", "\ufeff", "\ud83d", "\u2066"])
def test_what_cannot_be_seen_is_not_sent(unseen: str) -> None:
    assert plain(f"a{unseen}b") == "ab"
    assert "password" not in mask(plain(f"pass{unseen}word=hunter2")).replace("password=[masked]", "")


def test_a_sequence_without_an_end_hides_no_further_lines() -> None:
    assert plain("one\x1b]8;;x\ntwo") == "one\ntwo"
