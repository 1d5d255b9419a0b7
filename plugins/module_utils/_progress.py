# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what a server does for long goes on: a pull, a creation, an answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# How often a pull may fetch the same bytes again before that is no progress any more.
MAX_TAKEN_BACK = 3
# How the answer of a pull tells that the network ended it; the request that was under way may stand before it.
# Canceled is a pull that joins a download whose last client has just left: Ollama shares one download among all pulls
# of a layer, and takes some time to end it (server/download.go).
BROKEN = (
    "context canceled",
    "max retries exceeded",
    "unexpected EOF",
    "connection reset by peer",
    "i/o timeout",
    "TLS handshake timeout",
    "broken pipe",
    "connection refused",
)
# The disk may be why the retries did not help.
FULL = "no space left"
# What a pull says before it works on its own disk, however long: on 5 GB and a slow disk, minutes.
AT_WORK = frozenset(
    ("verifying sha256 digest", "writing manifest", "removing unused layers", "removing any unused layers")
)
# To wait for no time at all would mean something else to a socket.
SHORTEST_SILENCE = 0.001


class PullError(GizziError):
    pass


class BrokenPullError(PullError):
    """A pull that the network ended, and that goes on when it is asked again."""


class StalledError(GizziError):
    pass


class CreateError(GizziError):
    pass


class StallWatch:
    """Raises StalledError when progress() was not called for the limit, or the deadline has passed.

    Attributes:
        working: whether the server is at work of which it tells nothing until it is done. Then only the deadline holds.
    """

    def __init__(
        self, stall_timeout: float, timeout: float, what: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._stall_timeout = stall_timeout
        self._timeout = timeout
        self._what = what
        self._started = self._last = clock()
        self.working = False

    def silence(self) -> float:
        """Return the seconds for which the server may say nothing now."""
        left = max(self._timeout - (self._clock() - self._started), SHORTEST_SILENCE)
        return left if self.working else min(self._stall_timeout, left)

    def progress(self) -> None:
        self._last = self._clock()

    def is_over(self) -> bool:
        """Return whether it has taken too long by now, or for too long nothing has moved."""
        try:
            self.check()
        except StalledError:
            return True
        return False

    def check(self) -> None:
        now = self._clock()
        if now - self._started >= self._timeout:
            raise StalledError(f"{self._what} took longer than {self._timeout:g} s")
        if not self.working and now - self._last > self._stall_timeout:
            raise StalledError(f"{self._what} made no progress for {self._stall_timeout:g} s")


def follow_create(lines: Iterable[Mapping[str, Any]]) -> None:
    """Read a creation's progress to its end.

    Errors come as lines under HTTP 200, and older servers go on to 'success' all the same.
    """
    error, last_status = "", ""
    for line in lines:
        error = error or str(line.get("error", ""))
        last_status = str(line.get("status", ""))
    if error:
        raise CreateError(error)
    if last_status != "success":
        raise CreateError(f"the answer broke off after {last_status!r}, before 'success'")


class PullProgress:
    """The progress of a pull, over all the times that it is asked for.

    Errors come as lines under HTTP 200. While a part stalls, Ollama repeats its last line, so only more bytes or a new
    status count as progress. After 30 s of it, Ollama takes the part back and fetches the same bytes again, for ever:
    that counts a few times and no more.

    A layer whose bytes are all there is being written out while its line is repeated. After the last layer the server
    reads all that came once more, and says nothing until that is done (server/download.go, server/images.go).

    Attributes:
        watch: what raises where nothing moves.
        began: whether the server has said anything.
    """

    def __init__(self, watch: StallWatch) -> None:
        self.watch = watch
        self.began = False
        self._layers: dict[str, _PulledLayer] = {}
        self._statuses: set[str] = set()

    def follow(self, lines: Iterable[Mapping[str, Any]]) -> int:
        """Read one answer to its end and return the bytes that have moved since the first one; raise PullError."""
        last_status = ""
        self.watch.working = False
        for line in lines:
            self.began = True
            if "error" in line:
                raise _pull_error(str(line["error"]))
            status = str(line.get("status", ""))
            if status not in self._statuses:
                self._statuses.add(status)
                self.watch.progress()
            self._note_layer(line)
            self.watch.working = status in AT_WORK
            self.watch.check()
            last_status = status
        if last_status != "success":
            raise BrokenPullError(f"the answer broke off after {last_status!r}, before 'success'")
        return sum(layer.moved for layer in self._layers.values())

    def _note_layer(self, line: Mapping[str, Any]) -> None:
        digest = line.get("digest")
        if isinstance(digest, str):
            completed = whole_number(line, "completed")
            advances = self._layers.setdefault(digest, _PulledLayer(completed)).advances_to(completed)
            if advances or completed >= whole_number(line, "total") > 0:
                self.watch.progress()


def _pull_error(reason: str) -> PullError:
    broken = FULL not in reason and any(sign in reason for sign in BROKEN)
    return (BrokenPullError if broken else PullError)(reason)


class _PulledLayer:
    def __init__(self, completed: int) -> None:
        self._first = completed
        self._latest = self._most = 0
        self._taken_back = 0

    @property
    def moved(self) -> int:
        return max(0, self._latest - self._first)

    def advances_to(self, completed: int) -> bool:
        """Take the next line's figure, and tell whether it is progress."""
        more = completed > self._latest
        if completed < self._latest:
            self._taken_back += 1
        if completed > self._most:
            self._most = completed
            self._taken_back = 0
        self._latest = completed
        return more and self._taken_back <= MAX_TAKEN_BACK


def whole_number(entry: Mapping[str, Any], key: str) -> int:
    """Return a whole number of an answer, 0 where there is none."""
    value = entry.get(key)
    return value if isinstance(value, int) else 0
