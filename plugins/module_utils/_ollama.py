# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client of Ollama's HTTP API: the calls that the modules need."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._access import check_access
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import (
    BadStatusError,
    BrokenOffError,
    RefusedError,
    TimedOutError,
    check_base_url,
    request,
    upload,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._json_lines import json_lines
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import InvalidModelNameError, parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._progress import (
    BrokenPullError,
    PullProgress,
    StalledError,
    StallWatch,
    follow_create,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping
    from typing import BinaryIO

    from ansible_collections.etrid.gizzi.plugins.module_utils._http import Response
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

AGAIN_PAUSE = 0.5
# What a gateway answers that has no room now, what Ollama itself does (server/sched.go), and how long to wait where
# neither says so, in seconds.
GATEWAY_FULL = 429
QUEUE_FULL = (503, "maximum pending requests exceeded")
FULL_PAUSE = 1.0

# The options that every module of Ollama has; the doc fragment "server" describes them.
SERVER_OPTIONS: Mapping[str, Any] = {
    "url": {"type": "str", "default": "http://127.0.0.1:11434"},
    "token": {"type": "str", "no_log": True},
    "ca": {"type": "str"},
    "request_timeout": {"type": "float", "default": 10},
}

COMPLETION = "completion"


class NotOllamaError(GizziError):
    pass


class HostRefusedError(GizziError):
    pass


class TokenRefusedError(GizziError):
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


class Ollama:
    """One server, or a gateway before one; raises GizziError for a url, token or ca that is none."""

    def __init__(self, url: str, request_timeout: float, token: str = "", ca: str = "") -> None:
        self.url = check_base_url(url, "url")
        self._timeout = request_timeout
        self._access = check_access(self.url, token, ca)

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
                size=whole_number(entry, "size"),
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
                size=whole_number(entry, "size"),
                size_vram=whole_number(entry, "size_vram"),
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
            upload("POST", f"{self.url}/api/blobs/sha256:{digest}", timeout, content, size, self._access)
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
        """Return what a model can do (its capabilities), empty where an older server does not tell.

        A newer one tells it in its list of models, and a gateway lets nobody ask what a model consists of.
        """
        for entry in self._list("/api/tags"):
            if isinstance(entry.get("capabilities"), list) and _is_named(_text(entry, "name"), name):
                return frozenset(filter(_is_text, entry["capabilities"]))
        try:
            told = (self.show(name) or {}).get("capabilities")
        except BadStatusError as error:
            if error.status != 403:
                raise
            told = None
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
        self, payload: Mapping[str, Any], silence: float | Callable[[], float]
    ) -> Generator[dict[str, Any], None, None]:
        """Answer one prompt, line by line; payload is that of /api/generate. A model that thinks is told not to."""
        return self._stream("/api/generate", {**payload, "think": False, "stream": True}, silence)

    def _list(self, path: str) -> list[Mapping[str, Any]]:
        try:
            entries = self._request("GET", path).json()["models"]
        except (ValueError, KeyError, TypeError):
            entries = False
        # Without any, older servers answer null.
        if not isinstance(entries, (list, type(None))):
            raise NotOllamaError(f"{self.url}{path} did not answer with a list of models.")
        return [entry for entry in entries or [] if isinstance(entry, dict)]

    def _request(
        self, method: str, path: str, payload: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> Response:
        patience = timeout or self._timeout
        until = time.monotonic() + patience
        while True:
            try:
                return request(method, self.url + path, patience, payload, access=self._access)
            except (BadStatusError, RefusedError) as error:  # noqa: PERF203  # It is what the loop is for.
                if not _waited_for_room(error, until):
                    raise self._explained(error) from error

    def _stream(
        self, path: str, payload: Mapping[str, Any], silence: float | Callable[[], float]
    ) -> Generator[dict[str, Any], None, None]:
        until = time.monotonic() + (silence() if callable(silence) else silence)
        while True:
            try:
                yield from json_lines("POST", self.url + path, silence, payload, self._access)
            except (BadStatusError, RefusedError) as error:  # noqa: PERF203  # It is what the loop is for.
                if not _waited_for_room(error, until):
                    raise self._explained(error) from error
            else:
                return

    def _explained(self, error: BadStatusError | RefusedError) -> GizziError:
        if isinstance(error, RefusedError):
            return RefusedError(
                f"Nothing listens on {self.url}: is the service running? 'systemctl status ollama' tells, or "
                "gizzi-gateway on a host with a gateway."
            )
        if error.status == 401:
            return TokenRefusedError(
                f"{error}. The gateway there does not know this host's token: run the playbook etrid.gizzi.site for it "
                "and this host, with the gateway_token_secret that belongs to it."
            )
        # Ollama refuses a Host header without a word; a model of the cloud, as a gateway does a path, with one.
        if error.status != 403 or error.response.body.lstrip().startswith(b"{"):
            return error
        server = error.response.headers.get("server", "not named")
        return HostRefusedError(
            f"{error} (Server: {server}). Bound to loopback, Ollama refuses a Host header that it does not know: "
            "use http://127.0.0.1:11434 on the server itself, or let the proxy send 'Host: localhost:11434'."
        )


def server_of(params: Mapping[str, Any]) -> Ollama:
    """Return the server that a module's options name; raise GizziError for what is wrong with them."""
    return Ollama(params["url"], params["request_timeout"], params["token"] or "", params["ca"] or "")


def is_full(error: BadStatusError) -> bool:
    """Tell whether a gateway, or Ollama itself, only has no room for a question now."""
    status, text = QUEUE_FULL
    return error.status == GATEWAY_FULL or (error.status == status and text in error.detail)


def _waited_for_room(error: GizziError, until: float) -> bool:
    """Wait where the server has no room now, and return whether to ask again: there is time until then."""
    if not isinstance(error, BadStatusError) or not is_full(error):
        return False
    try:
        pause = max(FULL_PAUSE, float(error.response.headers.get("retry-after", FULL_PAUSE)))
    except ValueError:
        pause = FULL_PAUSE
    time.sleep(max(0.0, min(pause, until - time.monotonic())))
    return time.monotonic() < until


def can_complete(abilities: Collection[str]) -> bool:
    """Tell whether a model generates text, by its capabilities; without any, an older server has told nothing."""
    return not abilities or COMPLETION in abilities


def find_model(models: Iterable[Model], name: ModelName) -> Model | None:
    return next((model for model in models if _is_named(model.name, name)), None)


def _is_named(text: str, name: ModelName) -> bool:
    try:
        return parse_model_name(text).same_as(name)
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
