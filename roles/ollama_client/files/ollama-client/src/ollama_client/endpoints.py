# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which endpoint is asked next: in their order, those that failed lately last."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

from ollama_client.deadline import Deadline
from ollama_client.errors import BusyError, DeadlineError, NoEndpointError, OllamaError, PromptError, UnreachableError
from ollama_client.settings import Endpoint, Failover

# Between two rounds while every queue is full, in seconds.
BUSY_WAIT = (0.5, 1.5)
# For so many seconds a question waits for servers that are restarted, all of them: that takes a few.
RESTART = 10.0
RESTART_WAIT = 0.5


class Try:
    """One attempt, as a context.

    An OllamaError within it leads to the next one, unless the answer was shown, or the same would come of the next. A
    PromptError leads nowhere: the server is alive, and what was asked is at fault.

    Attributes:
        patience: seconds to wait for its first token, so that there is time for those after it.
    """

    def __init__(self, pool: Pool, endpoint: Endpoint, patience: float) -> None:
        self.patience = patience
        self._pool = pool
        self._shown = False
        self.endpoint = endpoint
        self.error: OllamaError | None = None

    def shown(self) -> None:
        """Say that the caller has a part of the answer: no other endpoint can be asked then."""
        self._shown = True

    def __enter__(self) -> Endpoint:
        return self.endpoint

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if isinstance(error, OllamaError):
            self.error = error
            self._pool.failed(self.endpoint, error)
            return error.elsewhere and not self._shown
        if error is None or isinstance(error, PromptError):
            self._pool.answered(self.endpoint)
        return False


class Pool:
    """The endpoints, and which of them are left alone for now. For use by many threads."""

    def __init__(self, endpoints: Sequence[Endpoint], failover: Failover) -> None:
        self._endpoints = tuple(endpoints)
        self._failover = failover
        self._cooling: dict[str, float] = {}
        self._lock = threading.Lock()

    def tries(self, deadline: Deadline) -> Iterator[Try]:
        """Yield attempts until the caller leaves off, which it does after the first that succeeds.

        Errors: the OllamaError of the only attempt, NoEndpointError after several, DeadlineError.
        """
        failures: dict[str, OllamaError] = {}
        restarted = Deadline(min(RESTART, deadline.remaining()))
        while True:
            # When the servers with a full queue want to be asked again.
            busy: list[float] = []
            order = self._order()
            for number, endpoint in enumerate(order):
                if deadline.remaining() <= 0:
                    raise _late(failures, deadline)
                attempt = Try(self, endpoint, deadline.remaining() / (len(order) - number))
                yield attempt
                assert attempt.error is not None, "an attempt succeeded, and another was asked for"
                failures[endpoint.name] = attempt.error
                if isinstance(attempt.error, BusyError):
                    busy.append(attempt.error.after or 0.0)
            if restarted.remaining() > RESTART_WAIT and all(_restarts(error) for error in failures.values()):
                time.sleep(RESTART_WAIT)
                continue
            # So that those who wait do not all come back at once.
            pause = random.uniform(*BUSY_WAIT) + min(busy, default=0.0)
            if not busy or self._failover.when_busy == "next" or pause >= deadline.remaining():
                break
            time.sleep(pause)
        if deadline.remaining() <= 0:
            raise _late(failures, deadline)
        if len(failures) == 1:
            raise failures.popitem()[1]
        raise NoEndpointError(list(failures.values()), deadline.elapsed())

    def failed(self, endpoint: Endpoint, error: OllamaError) -> None:
        if not error.cools:
            # It is alive.
            self.answered(endpoint)
            return
        with self._lock:
            self._cooling[endpoint.name] = time.monotonic() + self._failover.cooldown

    def answered(self, endpoint: Endpoint) -> None:
        with self._lock:
            self._cooling.pop(endpoint.name, None)

    def _order(self) -> list[Endpoint]:
        """The ready ones, then the cooling ones: better a poor chance than none."""
        now = time.monotonic()
        with self._lock:
            ready = [one for one in self._endpoints if self._cooling.get(one.name, 0.0) <= now]
            for one in ready:
                if one.name in self._cooling:
                    # This caller finds out whether it is back; the others go elsewhere until then.
                    self._cooling[one.name] = now + self._failover.cooldown
            rest = [one for one in self._endpoints if one not in ready]
            return ready + sorted(rest, key=lambda one: self._cooling[one.name])


def _restarts(error: OllamaError) -> bool:
    return isinstance(error, UnreachableError) and error.restarts


def _late(failures: Mapping[str, OllamaError], deadline: Deadline) -> DeadlineError:
    told = "; ".join(f"{name}: {error.message}" for name, error in failures.items())
    return DeadlineError("the time is up" + (f" ({told})" if told else ""), elapsed=deadline.elapsed())
