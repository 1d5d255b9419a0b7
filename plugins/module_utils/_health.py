# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server judged in layers, each of which needs the one before."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._answer import BROKEN_OFF, Streamed, without_thoughts
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import BadStatusError, BrokenOffError, TimedOutError
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import (
    HostRefusedError,
    NotOllamaError,
    Ollama,
    TokenRefusedError,
    can_complete,
    find_model,
    is_full,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._progress import StalledError, StallWatch
from ansible_collections.etrid.gizzi.plugins.module_utils._shown import shown
from ansible_collections.etrid.gizzi.plugins.module_utils._silence import (
    Silence,
    UnhealthyError,
    ask_until,
    refused,
    stalled,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._version import parse_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName


@dataclass(frozen=True)
class Wanted:
    """What a server is to show; times in seconds, speed in tokens per second. Each is ollama_health's option."""

    model: ModelName | None
    digest: str | None
    min_version: str | None
    prompt: str
    timeout: float
    stall_timeout: float
    min_tokens_per_second: float
    tokens: int


@dataclass(frozen=True)
class Layer:
    """One layer: pass, fail, busy, unknown or skip, and what was seen."""

    layer: str
    status: str
    message: str
    seconds: float


@dataclass
class Report:
    """What a probe has found. Each is ollama_health's result of that name."""

    layers: list[Layer] = field(default_factory=list)
    version: str | None = None
    digest: str | None = None
    answer: str | None = None
    tokens_per_second: float | None = None

    @property
    def failed(self) -> Layer | None:
        """The first layer that did not pass, which neither busy nor unknown does."""
        return next((layer for layer in self.layers if layer.status not in ("pass", "skip")), None)


class Probe:
    """Each layer is a method that returns what it saw, or raises a GizziError that says what is wrong."""

    def __init__(self, server: Ollama, wanted: Wanted) -> None:
        self._server = server
        self._wanted = wanted
        self._deadline = time.monotonic() + wanted.timeout
        self._not_ollama: GizziError | None = None
        self._rate_source = ""
        self._abilities: frozenset[str] = frozenset()
        self.report = Report()

    def run(self) -> Report:
        """Look at every layer until one fails."""
        for layer, look in self._checks():
            started = time.monotonic()
            if self.report.failed:
                status, message = "skip", f"The layer {self.report.failed.layer!r} did not pass."
            elif look is None:
                status, message = "skip", "No model was named."
            elif layer in ("answers", "speed") and not can_complete(self._abilities):
                status, message = "skip", f"It does not generate text ({', '.join(sorted(self._abilities))})."
            elif layer == "speed" and not self._wanted.min_tokens_per_second:
                status, message = "skip", f"{self._speed_seen()}; no minimum was asked for."
            else:
                status, message = self._judge(look)
            self.report.layers.append(Layer(layer, status, shown(message), round(time.monotonic() - started, 3)))
        return self.report

    def _checks(self) -> list[tuple[str, Callable[[], str] | None]]:
        name = self._wanted.model
        return [
            ("reachable", self.reachable),
            ("version", self.version),
            ("present", partial(self.present, name) if name else None),
            ("loads", partial(self.loads, name) if name else None),
            ("answers", partial(self.answers, name) if name else None),
            ("speed", self.speed if name else None),
        ]

    @staticmethod
    def _judge(layer: Callable[[], str]) -> tuple[str, str]:
        try:
            return "pass", layer()
        except UnhealthyError as error:
            return error.status, str(error)
        except GizziError as error:
            return "fail", str(error)

    def reachable(self) -> str:
        try:
            self.report.version = self._server.version()
        except TimedOutError as error:
            raise UnhealthyError(
                f"{self._server.url} does not answer ({error}): a firewall drops the packets, the host is down, "
                "or the server hangs."
            ) from None
        except (NotOllamaError, HostRefusedError, TokenRefusedError, BadStatusError) as error:
            self._not_ollama = error
        return f"{self._server.url} answers HTTP."

    def version(self) -> str:
        if isinstance(self._not_ollama, BadStatusError):
            if is_full(self._not_ollama):
                raise refused(self._not_ollama, "It could not be asked")
            server = self._not_ollama.response.headers.get("server", "it does not say what it is")
            raise UnhealthyError(f"{self._not_ollama}. This is not a working Ollama (Server: {server}).")
        if self._not_ollama:
            raise self._not_ollama
        version = self.report.version or ""
        oldest = self._wanted.min_version
        if oldest and parse_version(version) < parse_version(oldest):
            raise UnhealthyError(f"Ollama {version} is older than {oldest}: upgrade it.")
        return f"Ollama {version}."

    def present(self, name: ModelName) -> str:
        models = self._server.models()
        model = find_model(models, name)
        if model is None:
            there = ", ".join(sorted(model.name for model in models)) or "no model at all"
            raise UnhealthyError(f"The server has no model {name}; it has {there}. Pull it with 'ollama pull {name}'.")
        self.report.digest = model.digest
        if self._wanted.digest and model.digest != self._wanted.digest:
            raise UnhealthyError(
                f"{name} has the digest {model.digest}, not {self._wanted.digest} as wanted: update the model."
            )
        return f"{name} is in the store, digest {model.digest[:12]}."

    def loads(self, name: ModelName) -> str:
        budget = self._remaining()
        self._abilities = self._server.abilities(name)
        try:
            self._server.load(name, budget, self._abilities)
        except TimedOutError:
            raise UnhealthyError(
                f"{name} did not load within {budget:.0f} s: look at 'journalctl --namespace=+ollama -u ollama', and "
                "whether the host swaps."
            ) from None
        except BadStatusError as error:
            raise refused(error, f"{name} does not load") from None
        return f"{name} is in memory."

    def answers(self, name: ModelName) -> str:
        """Ask, and once more while the server is busy, until the time for the whole check is over."""
        return ask_until(partial(self._asked, name), self._wanted.stall_timeout, self._deadline)

    def _asked(self, name: ModelName, silence: float) -> str:
        budget = self._remaining()
        watch = StallWatch(silence, budget, f"{name} is loaded, but its answer")
        tokens = self._wanted.tokens
        payload = {
            "model": str(name),
            "prompt": self._wanted.prompt,
            "options": {"num_predict": tokens, "temperature": 0},
        }
        answer, nothing = Streamed(), Silence(self._server.url)
        try:
            with closing(self._server.generate(payload, silence)) as lines:
                answer.read(lines, watch)
        except TimedOutError:
            # Before the first token a server that is busy sends nothing either.
            if not answer.pieces:
                raise nothing.error(name, silence, self._wanted.timeout) from None
            raise UnhealthyError(stalled(name, silence, f"after token number {len(answer.pieces)}")) from None
        except StalledError as error:
            raise UnhealthyError(f"{error}: the model loads but stalls.") from None
        except BrokenOffError:
            raise UnhealthyError(f"{name}: {BROKEN_OFF}.") from None
        except BadStatusError as error:
            # Whose fault it is, the status does not say: the server's own text does.
            raise refused(error, f"{name} is loaded, but does not answer") from None
        fault = answer.fault(tokens)
        if fault:
            raise UnhealthyError(f"{name}: {fault}.")
        self.report.answer = without_thoughts(answer.said).strip()
        self._measure(answer.final, answer.arrivals)
        return f"{name} answered: {self.report.answer}"

    def speed(self) -> str:
        rate, least = self.report.tokens_per_second, self._wanted.min_tokens_per_second
        if rate is None:
            raise UnhealthyError(
                f"{self._speed_seen()}: the server gave no durations, and the answer was too short to time it here."
            )
        if rate < least:
            raise UnhealthyError(
                f"Too slow: {self._speed_seen()}, at least {least:g} are wanted. Is the CPU taken, or limited by a "
                "quota without a matching thread count?"
            )
        return f"{self._speed_seen()}."

    def _speed_seen(self) -> str:
        rate = self.report.tokens_per_second
        return "The speed could not be measured" if rate is None else f"{rate:.2f} tokens/s {self._rate_source}"

    def _remaining(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise UnhealthyError(f"The time for the whole check, {self._wanted.timeout:g} s, is over.")
        return left

    def _measure(self, final: Mapping[str, Any], arrivals: Sequence[float]) -> None:
        count, nanoseconds = final.get("eval_count"), final.get("eval_duration")
        if isinstance(count, int) and isinstance(nanoseconds, int) and count > 0 and nanoseconds > 0:
            self.report.tokens_per_second = round(count / (nanoseconds / 1e9), 3)
            self._rate_source = "by the server's own clock"
        elif len(arrivals) > 1 and arrivals[-1] > arrivals[0]:
            # The first token has waited for the prompt to be read, so only the gaps after it tell the rate.
            tokens = count if isinstance(count, int) and count > 1 else len(arrivals)
            self.report.tokens_per_second = round((tokens - 1) / (arrivals[-1] - arrivals[0]), 3)
            self._rate_source = "timed here, since the server gave no durations"
