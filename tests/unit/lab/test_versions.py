"""The versions under which the lab publishes one build and its shams."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice

import pytest

from lab.artifacts.versions import Version, neighbours, plan


def test_the_lab_s_own_build() -> None:
    assert asdict(plan("0.9.3")) == {
        "version": "0.9.3",
        "renamed": "0.9.4",
        "wrong_checksum": "0.9.5",
        "broken": "0.9.6",
        "missing": "0.9.7",
        "mute": "0.9.8",
        # The role misses llama-server in a version that has one.
        "partless": "0.30.9",
    }


@pytest.mark.parametrize(
    ("version", "following"),
    [
        ("0.34.2", ["0.34.3", "0.34.4", "0.34.5", "0.34.6", "0.34.7", "0.34.8"]),
        ("0.31.8", ["0.31.9", "0.32.0", "0.32.1", "0.32.2", "0.32.3", "0.32.4"]),
        ("0.34.98", ["0.34.99", "0.35.10", "0.35.11", "0.35.12", "0.35.13", "0.35.14"]),
        ("0.33.0-rc2", ["0.33.1-rc2", "0.33.2-rc2", "0.33.3-rc2", "0.33.4-rc2", "0.33.5-rc2", "0.33.6-rc2"]),
    ],
)
def test_shams_are_of_later_versions_of_as_many_letters(version: str, following: list[str]) -> None:
    assert list(islice(neighbours(Version.of(version)), 6)) == following
    assert sorted(set(asdict(plan(version)).values())) == sorted([version, *following])


@pytest.mark.parametrize("text", ["v0.34.2", "0.34", "latest", "0.34.2 ", "0.34.2/../x"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="is no version"):
        Version.of(text)


@pytest.mark.parametrize(
    ("version", "wanted"), [("0.29.9", False), ("0.30.0", True), ("0.34.2", True), ("1.0.0", True)]
)
def test_llama_server_is_a_part_since_0_30(version: str, wanted: bool) -> None:
    assert Version.of(version).wants_llama_server is wanted
