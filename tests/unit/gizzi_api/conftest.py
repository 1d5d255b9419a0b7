"""The app against a recorded Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from gizzi_api.app import create_app
from gizzi_api.settings import Settings
from recorded_prometheus import THRESHOLDS, TOKEN, Serve


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the machine."""
    monkeypatch.setenv("GIZZI_API_CONFIG", str(tmp_path / "none.toml"))


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    def make(**changes: Any) -> Settings:
        token = tmp_path / "token"
        token.write_text(f"{TOKEN}\n")
        query = {"token_file": token} | changes.pop("query", {})
        thresholds = THRESHOLDS | changes.pop("thresholds", {})
        validators = [{"number": number, "name": f"validator{number:02d}"} for number in range(1, 22)]
        return Settings(**({"validators": validators, "query": query, "thresholds": thresholds} | changes))

    return make


@asynccontextmanager
async def running(settings: Settings, upstream: httpx.AsyncBaseTransport) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings, upstream)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api", timeout=20) as client,
    ):
        yield client


@pytest.fixture
def serve(settings: Callable[..., Settings]) -> Serve:
    """``async with serve(upstream, **settings) as client``."""
    return lambda upstream, **changes: running(settings(**changes), upstream)
