"""The pages for people, as HTML; a real browser looks at them in tests/browser."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from gizzi_api.models import NetworkStatus
from gizzi_api.network import Past
from gizzi_api.page import overview
from gizzi_api.page.sparkline import line
from markupsafe import escape
from recorded_prometheus import Serve, Upstream

pytestmark = pytest.mark.anyio


class Page(HTMLParser):
    """What the tests want to know of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


async def test_worst_first_with_reason(serve: Serve) -> None:
    async with serve(Upstream("faults")) as client:
        text = (await client.get("/")).text
    rows = re.findall(r'<tr role="row" class="(\w+)">.*?no\. (\d+)</span>', text)
    assert [(status, int(number)) for status, number in rows[:8]] == [
        ("offline", 1),
        ("isolated", 3),
        ("isolated", 21),
        ("lagging", 7),
        ("lagging", 2),
        ("unknown", 5),
        ("unknown", 6),
        ("syncing", 4),
    ]
    assert {status for status, _unused in rows[8:]} == {"healthy"}
    assert len(rows) == 21
    assert "2 peers (needs 3)" in text
    assert "21 validators: 1 offline, 2 isolated, 2 lagging, 2 unknown, 1 syncing, 13 healthy" in text


async def test_the_demo_finds_who_lags(serve: Serve, tmp_path: Path) -> None:
    """It shows the page's title and its lagging rows by a pattern of its own."""
    page = tmp_path / "page.html"
    async with serve(Upstream("faults")) as client:
        page.write_text((await client.get("/")).text)
    demo = (Path(__file__).parents[3] / "lab/demo.sh").read_text()
    (read_page,) = re.findall(r"^read_page\(\) \{\n.*?^\}\n", demo, re.M | re.S)
    shown = subprocess.run(
        ["bash", "-euc", f"read_api() {{ cat {page}; }}\n{read_page}read_page"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    title, *rows = (line.strip() for line in shown)
    assert title == "21 validators: 1 offline, 2 isolated, 2 lagging, 2 unknown, 1 syncing, 13 healthy"
    assert [row.split()[:3] for row in rows] == [["▼", "lagging", f"validator{number:02d}"] for number in (7, 2)]
    assert all("blocks behind" in row or "no new block" in row for row in rows)


async def test_unknown_is_a_word_and_not_zero(serve: Serve) -> None:
    async with serve(Upstream("elsewhere"), prometheus={"job": "another"}, thresholds={"stall_seconds": 120}) as client:
        text = (await client.get("/")).text
    assert ">0</td>" not in text
    assert text.count('data-label="Peers"><span class="none">unknown</span>') == 21


async def test_names_are_escaped(serve: Serve) -> None:
    evil = '<script>alert("1")</script>'
    async with serve(Upstream("sound"), validators=[{"number": 1, "name": evil}]) as client:
        text = (await client.get("/")).text
    assert evil not in text
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;" in text


async def test_text_from_outside_is_shown_and_escaped(serve: Serve) -> None:
    """Whatever a name, a reason or Prometheus' words hold: nothing of it is markup, and nothing is invisible."""
    cases = json.loads((Path(__file__).parents[1] / "recorded" / "shown.json").read_text(encoding="utf-8"))["cases"]
    async with serve(Upstream("sound")) as client:
        status = NetworkStatus.model_validate((await client.get("/api/network/status")).json())
    harmless = Page(overview.render(status.model_copy(update={"error": "e"}), None, 10)).tags
    for case in cases:
        evil = {"name": f"N{case['text']}N", "reason": f"R{case['text']}R"}
        validators = [one.model_copy(update=evil) for one in status.validators]
        page = overview.render(
            status.model_copy(update={"validators": validators, "error": f"E{case['text']}E"}), None, 10
        )
        shown = escape(case["shown"])
        assert f">N{shown}N</a>" in page
        assert f'<span class="reason">R{shown}R</span>' in page
        assert f'<p class="warning">E{shown}E. The data is ' in page
        kept = set(case["shown"]) & {"\u200c", "\u200d"}
        assert {one for one in page if not one.isprintable()} == {"\n"} | kept
        assert len(Page(page).tags) == len(harmless)


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_nothing_comes_from_elsewhere_and_nothing_is_inline(serve: Serve, path: str) -> None:
    async with serve(Upstream("sound")) as client:
        answer = await client.get(path)
        page = Page(answer.text)
        links = [tag.get("src") or tag.get("href") or "" for name in ("script", "link", "a") for tag in page.all(name)]
        assert links
        assert not [link for link in links if not link.startswith("/") or link.startswith("//")]
        assert not [tag for _unused, tag in page.tags if "style" in tag or any(key.startswith("on") for key in tag)]
        assert "<style" not in answer.text
        for link in links:
            assert (await client.get(link)).status_code == 200
    assert answer.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; style-src 'self'; script-src 'self';"
    )


async def test_every_answer_has_the_security_headers(serve: Serve) -> None:
    async with serve(Upstream("sound")) as client:
        for path in ("/", "/docs", "/healthz", "/metrics", "/nothing", "/static/page.css", "/api/prometheus/query"):
            headers = (await client.get(path)).headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cache-Control"] == "no-store"
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert (await client.get("/static/../settings.py")).status_code == 404
        assert (await client.get("/static/settings.py")).status_code == 404


async def test_an_unknown_path_is_told_which_there_are(serve: Serve) -> None:
    async with serve(Upstream("sound")) as client:
        known = ["/", "/docs", "/openapi.json", *(await client.get("/openapi.json")).json()["paths"]]
        for path in ("/nothing", "/api", "/api/network/status/", "/static/none", "/healthz/x"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()) == (
                404,
                {"detail": f"There is no {path} here. There are: {', '.join(known)}."},
            )
            assert answer.headers["content-type"] == "application/json"
        for path in known:
            assert (await client.get(path.replace("{number}", "1"))).status_code != 404
        hostile = (await client.get("/a%1b%5B2J%E2%80%AE" + "b" * 5000)).json()["detail"]
    assert hostile.startswith("There is no /a\\x1b[2J\\u202ebbb")
    assert len(hostile) < 500


async def test_another_method_is_told_which_is_right(serve: Serve) -> None:
    async with serve(Upstream("sound")) as client:
        answer = await client.post("/healthz")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert answer.json() == {"detail": "POST is not for this path; GET is."}


async def test_the_documentation_names_every_route_with_an_example(serve: Serve) -> None:
    async with serve(Upstream("sound")) as client:
        text = (await client.get("/docs")).text
        paths: dict[str, Any] = (await client.get("/openapi.json")).json()["paths"]
    for path in paths:
        assert f"GET {path}</code>" in text
    assert "34 blocks behind the best (limit 10)" in text
    assert "Too many queries at once" in text
    assert "`" not in text


PAST = Past(0, 600, 60, {}, {})


def test_a_gap_breaks_the_line_and_is_spoken() -> None:
    drawn = line("Peers", [(0, 3), (60, 4), (300, 2), (360, 2), (600, 9)], PAST, 0, 10)
    assert drawn.path.count("h0") == 3
    assert drawn.spoken == "Peers: from 3 to 9, lowest 2, highest 9, no data for 6 minutes"


def test_no_data_is_a_word() -> None:
    drawn = line("Peers", [], PAST, 0, 0)
    assert (drawn.path, drawn.spoken) == ("", "Peers: no data")


def test_a_line_stays_in_its_box_also_when_nothing_changes() -> None:
    drawn = line("Peers", [(moment, 5) for moment in range(0, 660, 60)], PAST, 5, 5)
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d", drawn.path)]
    assert all(0 <= number <= drawn.width for number in numbers)
    assert "no data" not in drawn.spoken
