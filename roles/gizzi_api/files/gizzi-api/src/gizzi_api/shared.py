# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One slow source, shared by all who ask."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gizzi_api.metrics import Metrics
from gizzi_api.prometheus import PrometheusError
from gizzi_api.shown import shown

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stamped(Generic[T]):
    value: T
    # On the monotonic clock, when it was asked for: its age is never understated.
    asked: float

    def age(self) -> float:
        return time.monotonic() - self.asked


class Shared(Generic[T]):
    """The latest answer of a source that is asked by one task at a time and at most every ``keep`` seconds.

    Nobody waits longer than ``wait`` seconds, and nobody waits for an attempt that has already taken that long while
    there is an older answer. A caller who goes away does not stop the attempt for the others.
    """

    def __init__(
        self, name: str, fetch: Callable[[], Awaitable[T]], *, keep: float, wait: float, metrics: Metrics
    ) -> None:
        self.latest: Stamped[T] | None = None
        self.error: str | None = None
        self._name = name
        self._fetch = fetch
        self._keep = keep
        self._wait = wait
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self._started = 0.0
        self._ended = -keep

    async def get(self) -> Stamped[T] | None:
        """Return the latest answer, after giving a new one its chance where that is due."""
        now = time.monotonic()
        if self._task is None and now - self._ended < self._keep:
            self._metrics.cache(self._name, "hit" if self.error is None else "old" if self.latest else "none")
            return self.latest
        if (task := self._task) is None:
            self._started = now
            task = self._task = asyncio.create_task(self._attempt(), name=f"ask {self._name}")
        patience = self._wait - (now - self._started) if self.latest else self._wait
        if patience > 0:
            await asyncio.wait({task}, timeout=patience)
        new = self._task is None and self.error is None
        self._metrics.cache(self._name, "new" if new else "old" if self.latest else "none")
        return self.latest

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _attempt(self) -> None:
        asked = time.monotonic()
        try:
            value = await self._fetch()
        except PrometheusError as error:
            if self.error is None:
                log.warning("%s: %s", self._name, shown(str(error)))
            self.error = str(error)
        except Exception:
            # A fault of ours: callers get the last answer all the same.
            log.exception("%s", self._name)
            self.error = "the API failed to read Prometheus' answer"
        else:
            if self.error is not None:
                log.info("%s: Prometheus answers again", self._name)
            self.latest, self.error = Stamped(value, asked), None
        finally:
            self._task, self._ended = None, time.monotonic()
