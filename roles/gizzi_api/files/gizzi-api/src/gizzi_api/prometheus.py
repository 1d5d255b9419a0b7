# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of Prometheus' HTTP API whose every answer is bounded in time and size and whose errors are typed.

Errors never carry Prometheus' address: they are shown to callers.

- PrometheusError
  - UnavailableError: no connection, or an answer that is an error of the server
    - SlowError: no answer in time
    - NonsenseError: an answer that is not Prometheus'
  - RejectedError: Prometheus refuses the query, in its own words
  - TooLargeError: the answer is larger than allowed
"""

from __future__ import annotations

import asyncio
import json
import math
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx

from gizzi_api.metrics import Metrics


class PrometheusError(Exception):
    """What went wrong, in words for callers."""


class UnavailableError(PrometheusError):
    pass


class SlowError(UnavailableError):
    pass


class NonsenseError(UnavailableError):
    pass


class RejectedError(PrometheusError):
    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class TooLargeError(PrometheusError):
    pass


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query. ``value`` may be no finite number."""

    labels: Mapping[str, str]
    time: float
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a range query, without what is not a finite number."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: the bytes as they came, and the part ``data``."""

    body: bytes
    data: Mapping[str, Any]

    def results(self) -> int:
        """How many series there are; a scalar or a string is one."""
        result = self.data["result"]
        return len(result) if self.data["resultType"] in ("vector", "matrix") else 1

    def vector(self) -> list[Sample]:
        self._must_be("vector")
        try:
            return [
                Sample(item["metric"], float(item["value"][0]), float(item["value"][1])) for item in self.data["result"]
            ]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise NonsenseError("Prometheus' answer cannot be read as a vector") from error

    def matrix(self) -> list[Series]:
        self._must_be("matrix")
        try:
            series = [
                Series(item["metric"], tuple((float(time), float(value)) for time, value in item["values"]))
                for item in self.data["result"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise NonsenseError("Prometheus' answer cannot be read as a matrix") from error
        return [Series(one.labels, tuple(point for point in one.points if math.isfinite(point[1]))) for one in series]

    def _must_be(self, kind: str) -> None:
        if self.data["resultType"] != kind:
            raise RejectedError("bad_data", f"the expression gives a {self.data['resultType']}, not a {kind}")


class Client:
    def __init__(self, url: str, metrics: Metrics, transport: httpx.AsyncBaseTransport | None = None) -> None:
        # The machine's own trust store, so that a private CA works; plain HTTP needs none at all.
        verify = ssl.create_default_context() if url.startswith("https:") else False
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/",
            verify=verify,
            transport=transport,
            # A proxy of the environment has no business here.
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=16),
        )
        self._metrics = metrics

    async def close(self) -> None:
        await self._http.aclose()

    async def instant(self, query: str, *, timeout: float, max_bytes: int) -> Answer:
        return await self._ask("query", {"query": query}, timeout, max_bytes)

    async def range(self, query: str, start: float, end: float, step: int, *, timeout: float, max_bytes: int) -> Answer:
        span = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": str(step)}
        return await self._ask("query_range", {"query": query, **span}, timeout, max_bytes)

    async def _ask(self, path: str, form: dict[str, str], timeout: float, max_bytes: int) -> Answer:
        with self._metrics.upstream(path) as outcome:
            try:
                # Prometheus stops by itself at `timeout` and says so; the rest is for its words to arrive.
                async with asyncio.timeout(timeout + 0.5), AsyncExitStack() as stack:
                    response = await stack.enter_async_context(
                        self._http.stream(
                            "POST", f"api/v1/{path}", data={**form, "timeout": f"{timeout * 1000:.0f}ms"}, timeout=None
                        )
                    )
                    body = bytearray()
                    async for chunk in response.aiter_bytes():
                        body += chunk
                        if len(body) > max_bytes:
                            raise TooLargeError(f"the answer is larger than {max_bytes} bytes")
            except TimeoutError as error:
                outcome("timeout")
                raise SlowError(f"Prometheus did not answer within {timeout:g} s") from error
            except httpx.HTTPError as error:
                outcome("unreachable")
                raise UnavailableError("Prometheus cannot be reached") from error
            except TooLargeError:
                outcome("too_large")
                raise
            try:
                answer = _read(response.status_code, bytes(body))
            except RejectedError:
                outcome("rejected")
                raise
            except UnavailableError:
                outcome("broken")
                raise
            return answer


def _read(status: int, body: bytes) -> Answer:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise NonsenseError(f"what answers at this address is not Prometheus (HTTP {status})")
    if message.get("status") == "error":
        kind, text = str(message.get("errorType", "")), str(message.get("error", ""))
        # A query that runs into its time limit comes as 503: still the query's fault.
        if status in (400, 422) or kind in ("timeout", "canceled", "bad_data", "execution"):
            raise RejectedError(kind, text)
        raise UnavailableError(f"Prometheus answers with an error: {text}")
    data = message.get("data")
    if status != 200 or not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise NonsenseError(f"what answers at this address is not Prometheus (HTTP {status})")
    if not isinstance(data.get("resultType"), str):
        raise NonsenseError("Prometheus' answer has no resultType")
    return Answer(body, data)
