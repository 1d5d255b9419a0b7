"""The stand-in registry under a test's hand, as far as it needs no container."""

from __future__ import annotations

from typing import Any

from lab.registry import Traffic, path, traffic


def request(path: str, size: int) -> dict[str, Any]:
    return {"path": path, "bytes": size, "method": "GET", "status": 200}


def test_traffic_counts_manifests_and_blobs_apart() -> None:
    log = [
        request("/v2/library/smollm2/manifests/135m", 1001),
        request("/v2/library/smollm2/blobs/sha256:ab", 138),
        request("/sha256-ab", 270885952),
        request("/ollama/ollama/releases/download/v0.9.3/ollama-linux-amd64.tgz", 46643089),
        request("/simple/httpx/", 100),
    ]
    assert traffic(log) == Traffic(manifests=1, manifest_bytes=1001, blobs=2, blob_bytes=270885952 + 138)
    assert traffic([]) == Traffic()


def test_a_manifest_lies_under_name_and_tag() -> None:
    assert path("smollm2:135m") == "smollm2/135m"
