# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._gguf import ModelHeader
from ansible_collections.etrid.gizzi.plugins.module_utils._memory import (
    Settings,
    cut_context,
    memory_of,
    parse_limit,
    parse_settings,
)

MIB = 1024**2
GIB = 1024**3
LLAMA = ModelHeader(131_072, 131_072)


def test_weights_context_cache_and_one_saved_prompt() -> None:
    memory = memory_of("llama3.1:8b", 4_700_000_000, LLAMA, Settings(4096, 1000 * MIB))
    assert memory.context == memory.saved_prompt == 4096 * 131_072 == 512 * MIB
    assert (memory.weights, memory.prompt_cache, memory.runner) == (4_700_000_000, 1000 * MIB, 500_000_000)
    assert memory.sum == memory.required == 4_700_000_000 + 2 * 512 * MIB + 1000 * MIB + 500_000_000
    assert memory.words() == (
        "llama3.1:8b needs weights 4.7 GB + context of 4096 tokens 536.9 MB + prompt cache 1.0 GB + "
        "one saved prompt 536.9 MB + the runner itself 500.0 MB = 7.3 GB"
    )


def test_before_llama_server_there_is_no_cache_and_no_saved_prompt() -> None:
    memory = memory_of("x", 10**9, LLAMA, Settings(4096, GIB, llama_server=False))
    assert (memory.prompt_cache, memory.saved_prompt) == (0, 0)
    assert memory.sum == 10**9 + 512 * MIB + 500_000_000
    assert "prompt" not in memory.words()


@pytest.mark.parametrize(
    ("version", "llama_server"),
    [("", True), ("0.30.0", True), ("0.33.0-rc2", True), ("0.29.9", False), ("0.9.3", False)],
)
def test_since_when_llama_server_counts(version: str, llama_server: bool) -> None:
    assert parse_settings(4096, 0, version).llama_server is llama_server


@pytest.mark.parametrize(
    ("asked", "counted"), [(0, 0), (MIB - 1, 0), (MIB, MIB), (2 * MIB - 1, MIB), (10**9, 953 * MIB)]
)
def test_a_prompt_cache_is_whole_mib(asked: int, counted: int) -> None:
    assert parse_settings(4096, asked, "").cache == counted


@pytest.mark.parametrize(
    ("context", "cache", "version", "reason"),
    [
        (0, 0, "", "context_length: 0 is no number of tokens: write 1 or more"),
        (4096, -1, "", "prompt_cache: -1 is no number of bytes: write 0 for none"),
        (4096, 0, "latest", "'latest' is not a version"),
    ],
)
def test_wrong_settings(context: int, cache: int, version: str, reason: str) -> None:
    with pytest.raises(GizziError, match=reason):
        parse_settings(context, cache, version)


def test_a_context_longer_than_trained_is_cut_and_said() -> None:
    header, long = ModelHeader(23_040, 8192), Settings(131_072)
    memory = memory_of("smollm2:135m", 271_000_000, header, long)
    assert (memory.tokens, memory.context) == (8192, 8192 * 23_040)
    assert "context of 8192 tokens" in memory.words()
    words = cut_context("smollm2:135m", header, long)
    assert "smollm2:135m was trained for a context of 8192 tokens: Ollama cuts the 131072 of" in words
    assert cut_context("smollm2:135m", header, Settings(8192)) == ""


def test_a_context_of_a_model_that_does_not_say_is_not_cut() -> None:
    header = ModelHeader(10, None)
    assert memory_of("x", 0, header, Settings(10**6)).context == 10**7
    assert cut_context("x", header, Settings(10**6)) == ""


def test_experience_is_the_least() -> None:
    memory = memory_of("llama3.1:8b", 4_700_000_000, LLAMA, Settings(), least=8 * 10**9)
    assert (memory.sum, memory.required) == (6_273_741_824, 8 * 10**9)
    assert memory.words().endswith("= 6.3 GB, but no less than 8.0 GB")
    larger = memory_of("llama3.1:8b", 4_700_000_000, LLAMA, Settings(32_768), least=8 * 10**9)
    assert larger.required == larger.sum == 4_700_000_000 + 2 * 4 * GIB + 500_000_000
    assert "no less" not in larger.words()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", 12 * 10**9),
        ("8G", 8 * GIB),
        ("800M", 800 * MIB),
        ("500K", 500 * 1024),
        ("8000000000", 8 * 10**9),
        ("50%", 8 * 10**9),
        ("0%", 0),
        # Never what belongs to the rest of the host.
        ("15G", 12 * 10**9),
        ("1T", 12 * 10**9),
        ("100%", 12 * 10**9),
    ],
)
def test_a_limit_as_systemd_reads_it(text: str, size: int) -> None:
    limit = parse_limit(text)
    assert limit.of(total=16 * 10**9, reserved=4 * 10**9) == size
    assert limit.is_tighter(16 * 10**9, 4 * 10**9) is (size < 12 * 10**9)


def test_a_host_smaller_than_its_reserve_has_nothing_to_give() -> None:
    assert parse_limit("").of(total=10**9, reserved=4 * 10**9) == 0
    assert not parse_limit("12G").is_tighter(10**9, 4 * 10**9)


@pytest.mark.parametrize("text", ["12GB", "12 G", "1.5G", "-1", "101%", "infinity", "12g", "G", "%"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(GizziError, match=f'memory_max: {text!r} is no limit: write "12G"'):
        parse_limit(text)
