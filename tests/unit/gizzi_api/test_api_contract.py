"""schemathesis over the OpenAPI document: whatever is asked, no 500 and no answer that is not documented."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from gizzi_api.settings import Settings
from recorded_prometheus import AUTHORIZATION, Upstream
from served import served

# PromQL's grammar is not in the document, so a query of its type may still be refused with 422.
CONFIGURATION = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 403, 404, 422, 502, 503, 504]
"""


@pytest.mark.parametrize("case", ["sound", "down", "off", "nonsense"])
def test_no_500_and_no_undocumented_answer(settings: Callable[..., Settings], tmp_path: Path, case: str) -> None:
    upstream = Upstream("sound", "queries", lenient=True)
    upstream.down = case == "down"
    if case == "nonsense":
        upstream.instead = lambda _: httpx.Response(200, text="nonsense")
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    with served(settings(query={"mode": "off" if case == "off" else "any"}), upstream) as url:
        # Without Prometheus 502 and 503 are right, and documented; 500 never is.
        excluded = [] if case in ("sound", "off") else ["--exclude-checks", "not_a_server_error"]
        result = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
                *("run", f"{url}/openapi.json", "--max-examples", "25", "--no-color", "--seed", "1"),
                *("--header", f"Authorization: {AUTHORIZATION['Authorization']}"),
                *excluded,
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-1000:]
