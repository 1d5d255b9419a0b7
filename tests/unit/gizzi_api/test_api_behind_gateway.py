"""The API behind a gateway that speaks TLS: how it was asked, and by whom, changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import pytest
from gizzi_api.app import create_app
from gizzi_api.settings import Settings
from recorded_prometheus import Upstream
from served import served, served_app
from starlette.requests import Request
from starlette.responses import JSONResponse

# As the gateway sends it on, and with what a caller may claim.
FORWARDED = {
    "Host": "gizzi.example:8443",
    "X-Forwarded-For": "198.51.100.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "elsewhere.example",
    "Forwarded": "for=198.51.100.7;proto=https;host=elsewhere.example",
}


def get(url: str, path: str, headers: dict[str, str]) -> tuple[HTTPResponse, str]:
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=20)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read().decode()


@pytest.fixture(autouse=True)
def trusting_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn reads it, and takes loopback, where the gateway is, for a proxy to be believed without it."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")


def test_nobody_is_believed_who_he_says_he_is(settings: Callable[..., Settings]) -> None:
    app = create_app(settings(), Upstream("sound"))

    async def who(request: Request) -> JSONResponse:
        return JSONResponse([request.client.host if request.client else None, request.url.scheme])

    app.add_route("/who", who)
    with served_app(app) as url:
        assert get(url, "/who", FORWARDED)[1] == '["127.0.0.1","http"]'


@pytest.mark.parametrize("path", ["/", "/docs", "/static/page.js", "/static/page.css", "/openapi.json"])
def test_links_lead_back_to_where_it_was_asked(settings: Callable[..., Settings], path: str) -> None:
    with served(settings(), Upstream("sound")) as url:
        answer, text = get(url, path, FORWARDED)
        assert answer.status == 200
        links = re.findall(r' (?:href|src|action)="([^"]*)"|fetch\("([^"]*)"', text)
        assert [one for link in links for one in link if one and not re.match(r"/(?!/)", one)] == []
        assert not re.search(r"127\.0\.0\.1|8080|8443|elsewhere|198\.51", text)
        # What a page loads by its policy is its own.
        assert "http" not in (answer.getheader("content-security-policy") or "")


@pytest.mark.parametrize("path", ["/docs/", "//docs", "/api/network/status/", "/static"])
def test_it_leads_nobody_on(settings: Callable[..., Settings], path: str) -> None:
    """A redirect would name the scheme and the address of loopback."""
    with served(settings(), Upstream("sound")) as url:
        answer, _text = get(url, path, FORWARDED)
        assert (answer.status, answer.getheader("location")) == (404, None)
