# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client of Ollama's HTTP API: the calls that the modules need."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import (
    BadStatusError,
    BrokenOffError,
    RefusedError,
    TimedOutError,
    check_base_url,
    json_lines,
    request,
    upload,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import InvalidModelNameError, parse_model_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping
    from typing import BinaryIO

    from ansible_collections.etrid.gizzi.plugins.module_utils._http import Response
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

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
AGAIN_PAUSE = 0.5

COMPLETION = "completion"

# What a pull says before it works on its own disk, however long: on 5 GB and a slow disk, minutes.
AT_WORK = frozenset(
    ("verifying sha256 digest", "writing manifest", "removing unused layers", "removing any unused layers")
)
# To wait for no time at all would mean something else to a socket.
SHORTEST_SILENCE = 0.001


class NotOllamaError(GizziError):
    pass


class HostRefusedError(GizziError):
    pass


class PullError(GizziError):
    pass


class BrokenPullError(PullError):
    """A pull that the network ended, and that goes on when it is asked again."""


class StalledError(GizziError):
    pass


class CreateError(GizziError):
    pass


@dataclass(frozen=True)
class Model:
    name: str
    digest: str
    size: int
    family: str
    parameter_size: str
    quantization_level: str


@dataclass(frozen=True)
class LoadedModel:
    name: str
    digest: str
    size: int
    size_vram: int
    expires_at: str


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


class Ollama:
    def __init__(self, url: str, request_timeout: float) -> None:
        self.url = check_base_url(url, "url")
        self._timeout = request_timeout

    def version(self) -> str:
        answer = self._request("GET", "/api/version")
        try:
            version = answer.json()["version"]
        except (ValueError, KeyError, TypeError):
            version = None
        if not isinstance(version, str) or not version:
            server = answer.headers.get("server", "it does not say what it is")
            raise NotOllamaError(
                f"Something other than Ollama answers at {self.url} (Server: {server}): "
                "find out with 'ss -ltnp' who holds the port."
            )
        return version

    def models(self) -> list[Model]:
        return [
            Model(
                name=_text(entry, "name"),
                digest=_digest(entry),
                size=_number(entry, "size"),
                family=_text(_details(entry), "family"),
                parameter_size=_text(_details(entry), "parameter_size"),
                quantization_level=_text(_details(entry), "quantization_level"),
            )
            for entry in self._list("/api/tags")
        ]

    def loaded(self) -> list[LoadedModel]:
        return [
            LoadedModel(
                name=_text(entry, "name"),
                digest=_digest(entry),
                size=_number(entry, "size"),
                size_vram=_number(entry, "size_vram"),
                expires_at=_text(entry, "expires_at"),
            )
            for entry in self._list("/api/ps")
        ]

    def find(self, name: ModelName) -> Model | None:
        return find_model(self.models(), name)

    def copy(self, source: ModelName, destination: ModelName) -> None:
        self._request("POST", "/api/copy", {"source": str(source), "destination": str(destination)})

    def delete(self, name: ModelName) -> bool:
        """Return whether there was something to delete."""
        try:
            self._request("DELETE", "/api/delete", {"model": str(name)})
        except BadStatusError as error:
            if error.status == 404:
                return False
            raise
        return True

    def show(self, name: ModelName) -> Mapping[str, Any] | None:
        """What a model consists of; None when the server does not have it, or cannot read it."""
        try:
            answer = self._request("POST", "/api/show", {"model": str(name)})
        except BadStatusError as error:
            if error.status == 404:
                return None
            raise
        try:
            shown = answer.json()
        except ValueError:
            shown = None
        if not isinstance(shown, dict):
            raise NotOllamaError(f"{self.url}/api/show did not answer with a model.")
        return shown

    def has_blob(self, digest: str) -> bool:
        try:
            self._request("HEAD", f"/api/blobs/sha256:{digest}")
        except BadStatusError as error:
            if error.status == 404:
                return False
            raise
        return True

    def upload_blob(self, digest: str, content: BinaryIO, size: int, timeout: float) -> None:
        try:
            upload("POST", f"{self.url}/api/blobs/sha256:{digest}", timeout, content, size)
        except (BadStatusError, RefusedError) as error:
            raise self._explained(error) from error

    def create(self, name: ModelName, definition: Mapping[str, Any], timeout: float) -> None:
        """Make a model from another one; timeout is the longest silence."""
        payload = {**definition, "model": str(name), "stream": True}
        with closing(self._stream("/api/create", payload, timeout)) as lines:
            follow_create(lines)

    def pull(self, name: str, insecure: bool, stall_timeout: float, timeout: float) -> int:
        """Pull, and return the bytes that moved.

        A pull that the network ended is asked again, and goes on where it was, until timeout seconds are over or
        nothing new has come for stall_timeout. Raises PullError for what the server says, and other GizziErrors where
        it was this side that ended the pull: the server may then go on, and may install the model.
        """
        payload = {"model": name, "insecure": insecure, "stream": True}
        progress = PullProgress(StallWatch(stall_timeout, timeout, "the pull"))
        broken: GizziError | None = None
        while True:
            try:
                with closing(self._stream("/api/pull", payload, progress.watch.silence)) as lines:
                    return progress.follow(lines)
            except TimedOutError:
                progress.watch.check()
                raise
            except StalledError as error:
                raise broken or error from None
            except (BrokenPullError, BrokenOffError, RefusedError) as error:
                broken = error
                # What never began is not asked again.
                if not progress.began or progress.watch.is_over():
                    raise
            time.sleep(AGAIN_PAUSE)

    def abilities(self, name: ModelName) -> frozenset[str]:
        """Return what a model can do (its capabilities), empty where an older server does not tell."""
        told = (self.show(name) or {}).get("capabilities")
        return frozenset(filter(_is_text, told)) if isinstance(told, list) else frozenset()

    def load(self, name: ModelName, timeout: float, abilities: Collection[str] = frozenset()) -> None:
        """Load the model into memory; an empty prompt does just that, and one that only embeds has to embed."""
        if can_complete(abilities):
            self._request("POST", "/api/generate", {"model": str(name), "stream": False}, timeout)
        else:
            self._request("POST", "/api/embed", {"model": str(name), "input": "Hello"}, timeout)

    def unload(self, name: ModelName) -> None:
        """Take the model out of memory once its last answer is done; an empty prompt with no time to stay does that."""
        self._request("POST", "/api/generate", {"model": str(name), "stream": False, "keep_alive": 0})

    def answer(self, payload: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
        """Answer one prompt as a whole; payload is that of /api/generate.

        A model that thinks is told not to: it would put even the JSON of a schema into its thoughts.
        """
        whole = {**payload, "think": False, "stream": False}
        try:
            answer = self._request("POST", "/api/generate", whole, timeout).json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise NotOllamaError(f"{self.url}/api/generate did not answer with a JSON object.")
        return answer

    def generate(
        self, name: ModelName, prompt: str, tokens: int, silence: float
    ) -> Generator[dict[str, Any], None, None]:
        options = {"num_predict": tokens, "temperature": 0}
        payload = {"model": str(name), "prompt": prompt, "think": False, "stream": True, "options": options}
        return self._stream("/api/generate", payload, silence)

    def _list(self, path: str) -> list[Mapping[str, Any]]:
        try:
            entries = self._request("GET", path).json()["models"]
        except (ValueError, KeyError, TypeError):
            raise NotOllamaError(f"{self.url}{path} did not answer with a list of models.") from None
        return [entry for entry in entries or [] if isinstance(entry, dict)]

    def _request(
        self, method: str, path: str, payload: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> Response:
        try:
            return request(method, self.url + path, timeout or self._timeout, payload)
        except (BadStatusError, RefusedError) as error:
            raise self._explained(error) from error

    def _stream(
        self, path: str, payload: Mapping[str, Any], silence: float | Callable[[], float]
    ) -> Generator[dict[str, Any], None, None]:
        try:
            yield from json_lines("POST", self.url + path, silence, payload)
        except (BadStatusError, RefusedError) as error:
            raise self._explained(error) from error

    def _explained(self, error: BadStatusError | RefusedError) -> GizziError:
        if isinstance(error, RefusedError):
            return RefusedError(
                f"Nothing listens on {self.url}: is the service running? 'systemctl status ollama' tells."
            )
        # Ollama refuses a Host header without a word, and a model of the cloud with one.
        if error.status != 403 or "cloud" in error.detail:
            return error
        server = error.response.headers.get("server", "not named")
        return HostRefusedError(
            f"{error} (Server: {server}). Bound to loopback, Ollama refuses a Host header that it does not know: "
            "use http://127.0.0.1:11434 on the server itself, or let the proxy send 'Host: localhost:11434'."
        )


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
            completed = _number(line, "completed")
            advances = self._layers.setdefault(digest, _PulledLayer(completed)).advances_to(completed)
            if advances or completed >= _number(line, "total") > 0:
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


def can_complete(abilities: Collection[str]) -> bool:
    """Tell whether a model generates text, by its capabilities; without any, an older server has told nothing."""
    return not abilities or COMPLETION in abilities


def find_model(models: Iterable[Model], name: ModelName) -> Model | None:
    return next((model for model in models if _is_named(model, name)), None)


def _is_named(model: Model, name: ModelName) -> bool:
    try:
        return parse_model_name(model.name).same_as(name)
    except InvalidModelNameError:
        return False


def _details(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    details = entry.get("details")
    return details if isinstance(details, dict) else {}


def _digest(entry: Mapping[str, Any]) -> str:
    return _text(entry, "digest").split(":")[-1]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _number(entry: Mapping[str, Any], key: str) -> int:
    value = entry.get(key)
    return value if isinstance(value, int) else 0
