# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must fit into the memory that Ollama may take: weights, context, prompt cache, one saved prompt, the runner."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes
from ansible_collections.etrid.gizzi.plugins.module_utils._version import LLAMA_SERVER, parse_version

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._gguf import ModelHeader

MIB = 1024 * 1024

# The server and its runner themselves, and what they compute in.
RUNNER = 500_000_000

# As systemd counts (systemd.resource-control, MemoryMax=).
_LIMIT = re.compile(r"([0-9]+)([KMGT]?)|([0-9]{1,2}|100)%")
_SUFFIXES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


@dataclass(frozen=True)
class Settings:
    """How Ollama will run: tokens of context, bytes of prompt cache, and whether a child llama-server answers."""

    context_length: int = 4096
    prompt_cache: int = 0
    llama_server: bool = True

    @property
    def cache(self) -> int:
        """Bytes of prompt cache: whole MiB, since llama-server takes no other; before it there is none."""
        return self.prompt_cache // MIB * MIB if self.llama_server else 0


@dataclass(frozen=True)
class Memory:
    """What one model takes, in bytes; tokens is the context that it is given, least what it needs by experience."""

    model: str
    tokens: int
    weights: int
    context: int
    prompt_cache: int
    saved_prompt: int
    runner: int = RUNNER
    least: int = 0

    @property
    def sum(self) -> int:
        return self.weights + self.context + self.prompt_cache + self.saved_prompt + self.runner

    @property
    def required(self) -> int:
        return max(self.sum, self.least)

    def words(self) -> str:
        """The sum, part by part."""
        parts = {
            "weights": self.weights,
            f"context of {self.tokens} tokens": self.context,
            "prompt cache": self.prompt_cache,
            "one saved prompt": self.saved_prompt,
            "the runner itself": self.runner,
        }
        text = " + ".join(f"{name} {human_bytes(size)}" for name, size in parts.items() if size)
        least = f", but no less than {human_bytes(self.least)}" if self.least > self.sum else ""
        return f"{self.model} needs {text} = {human_bytes(self.sum)}{least}"

    def as_result(self, limit: int | None) -> dict[str, Any]:
        """For a module's result; limit is what Ollama may take, in bytes."""
        return {**asdict(self), "sum": self.sum, "required": self.required, "limit": limit}


@dataclass(frozen=True)
class Limit:
    """The most that Ollama may take: bytes, or percent of the host's memory; with neither, all that is not reserved."""

    text: str = ""
    size: int | None = None
    percent: int | None = None

    def __str__(self) -> str:
        return self.text

    def of(self, total: int, reserved: int) -> int:
        """Bytes that Ollama may take of total. A limit never gives it what is reserved for the rest of the host."""
        limits = [max(0, total - reserved)]
        limits += [] if self.size is None else [self.size]
        limits += [] if self.percent is None else [total * self.percent // 100]
        return min(limits)

    def is_tighter(self, total: int, reserved: int) -> bool:
        """Whether it leaves less than what the host has and does not reserve."""
        return self.of(total, reserved) < max(0, total - reserved)


def parse_settings(context_length: int, prompt_cache: int, version: str) -> Settings:
    """Settings from a module's options; an empty version stands for a current one. Raises GizziError."""
    if context_length < 1:
        raise GizziError(f"context_length: {context_length} is no number of tokens: write 1 or more, such as 4096.")
    if prompt_cache < 0:
        raise GizziError(f"prompt_cache: {prompt_cache} is no number of bytes: write 0 for none, or more.")
    return Settings(context_length, prompt_cache, not version or parse_version(version) >= LLAMA_SERVER)


def memory_of(model: str, weights: int, header: ModelHeader, settings: Settings, least: int = 0) -> Memory:
    """What the model takes; weights and least in bytes.

    Ollama cuts a context that is longer than what the model was trained for to that (llm/server.go: "requested context
    size too large for model"). llama-server keeps one prompt's state beside the one at work, whatever the limit of its
    cache: in the worst case one full context.
    """
    tokens = min(settings.context_length, header.trained_context or settings.context_length)
    context = tokens * header.bytes_per_token
    saved = context if settings.llama_server else 0
    return Memory(model, tokens, weights, context, settings.cache, saved, least=least)


def cut_context(model: str, header: ModelHeader, settings: Settings) -> str:
    """What to tell an operator whose context is longer than what the model was trained for, or an empty text."""
    trained = header.trained_context
    if trained is None or settings.context_length <= trained:
        return ""
    return (
        f"{model} was trained for a context of {trained} tokens: Ollama cuts the {settings.context_length} of "
        f"ollama_context_length to that, and says nothing. Set {trained} or less."
    )


def parse_limit(text: str) -> Limit:
    """Read a MemoryMax as systemd writes it; raise GizziError for what the role refuses too."""
    if not text:
        return Limit()
    match = _LIMIT.fullmatch(text)
    if not match:
        raise GizziError(f'memory_max: {text!r} is no limit: write "12G", "800M", a number of bytes or "50%".')
    number, suffix, percent = match.groups()
    if percent:
        return Limit(text, percent=int(percent))
    return Limit(text, size=int(number) * _SUFFIXES[suffix])
