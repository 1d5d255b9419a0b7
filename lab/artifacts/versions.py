"""The versions under which one build is published: the build itself, and changed copies of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import NamedTuple

# Since this version a release without lib/ollama/llama-server answers no prompt.
LLAMA_SERVER = (0, 30)
FORM = re.compile(r"(\d+)\.(\d+)\.(\d+)([-+][A-Za-z0-9.+-]+)?")


class Version(NamedTuple):
    """The parts of a release's version."""

    major: int
    minor: int
    patch: int
    rest: str

    @classmethod
    def of(cls, text: str) -> Version:
        """Parse a version; ValueError where the text is none."""
        match = FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"{text} is no version")
        return cls(int(match[1]), int(match[2]), int(match[3]), match[4] or "")

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}{self.rest}"

    @property
    def wants_llama_server(self) -> bool:
        """Whether this version's server answers through a child process llama-server."""
        return self[:2] >= LLAMA_SERVER


@dataclass(frozen=True)
class Releases:
    """The version of each release that the lab serves, ``""`` where this is not possible with the build."""

    # The build itself.
    version: str
    # The same build under another version, for upgrades and downgrades.
    renamed: str
    # Its published checksum is wrong.
    wrong_checksum: str
    # Its program ends with exit status 1.
    broken: str
    # It is not served.
    missing: str
    # Its version needs llama-server, but it is missing.
    partless: str
    # It answers /api/version, but cannot load a model.
    mute: str


def plan(version: str) -> Releases:
    """Return the versions for a build and its changed copies."""
    own = Version.of(version)
    renamed, wrong_checksum, broken, missing, mute, partless = islice(neighbours(own), 6)
    if not own.wants_llama_server:
        partless = "0.30.9"
    return Releases(version, renamed, wrong_checksum, broken, missing, partless, mute)


def neighbours(own: Version) -> Iterator[str]:
    """Yield the next versions that have the same length as text."""
    for patch in count(own.patch + 1):
        text = str(own._replace(patch=patch))
        if len(text) > len(str(own)):
            break
        yield text
    for minor in count(own.minor + 1):
        for patch in range(10 ** (len(str(own.patch)) - 1) if own.patch > 9 else 0, 10 ** len(str(own.patch))):
            yield str(own._replace(minor=minor, patch=patch))
