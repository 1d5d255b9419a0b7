# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one settings object: a TOML file, and the environment over it."""

from __future__ import annotations

import os
import ssl
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from ollama_client.errors import SettingsError

CONFIG_VARIABLE = "GIZZI_CONFIG"
DEFAULT_CONFIG = Path("/etc/gizzi/client.toml")
MEMBERS = "Its group may: add this user to it (ollama_client_users in the inventory), and log in again."
# What an answer must leave of the context, in tokens.
LEAST_PROMPT = 128

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Dollars = Annotated[float, Field(ge=0)]


def _state(kind: Literal["cache", "state"]) -> Path:
    """Where a user's own files go, after the XDG base directories."""
    variable, default = {"cache": ("XDG_CACHE_HOME", "~/.cache"), "state": ("XDG_STATE_HOME", "~/.local/state")}[kind]
    return Path(os.environ.get(variable) or default).expanduser() / "gizzi"


def _of_this_user(shared: Path, roots: Path | None) -> Path:
    return roots if roots and os.geteuid() == 0 else shared


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Section):
    """Something reached over HTTP."""

    url: AnyHttpUrl
    token_file: Annotated[Path | None, Field(description="File with a bearer token.")] = None
    ca_file: Annotated[Path | None, Field(description="The only CA that is trusted; without it, the machine's.")] = None

    @property
    def address(self) -> str:
        """The URL without a slash at its end."""
        return str(self.url).rstrip("/")

    @property
    def token_hint(self) -> str:
        """What to do where it refuses the token, or wants one."""
        if self.token_file is None:
            return "If it wants a token, give it a token_file."
        return (
            f"See whether {self.token_file} holds its token. For a gateway of the fleet, run the playbook"
            " etrid.gizzi.site for it and this host."
        )

    def headers(self) -> dict[str, str]:
        """Return the authorization, if there is a token. Errors: SettingsError."""
        if self.token_file is None:
            return {}
        return {"Authorization": f"Bearer {read_secret(self.token_file)}"}

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """What to check its certificate with; None for plain HTTP. Errors: SettingsError."""
        if self.url.scheme != "https":
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise SettingsError(f"ca_file {self.ca_file} cannot be used: {error}") from error


class Endpoint(Server):
    """An Ollama server, or a gateway before one."""

    name: Annotated[str, Field(min_length=1, description="Its name in messages.")]


class Api(Server):
    """The Gizzi API."""

    url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:8080")
    timeout: Seconds = 10.0


class Deadlines(Section):
    connect: Seconds = 5.0
    first_token: Annotated[Seconds, Field(description="Until the first token: queue, loading the model, prompt.")] = (
        240.0
    )
    stall: Annotated[Seconds, Field(description="Between two tokens.")] = 30.0
    total: Annotated[Seconds, Field(description="The whole call with every attempt.")] = 600.0


class Failover(Section):
    cooldown: Annotated[Seconds, Field(description="How long a failed endpoint is not asked.")] = 30.0
    when_busy: Annotated[
        Literal["next", "wait"], Field(description="All queues full: fail, or ask again until the deadline.")
    ] = "next"


class Cache(Section):
    seconds: Annotated[float, Field(ge=0, le=86_400, description="0: no cache.")] = 45.0
    folder: Annotated[Path, Field(description="For the command; each user has a folder in it.")] = Field(
        default_factory=lambda: _state("cache")
    )
    root_folder: Annotated[Path | None, Field(description="The folder for root.")] = None

    @property
    def of_this_user(self) -> Path:
        return _of_this_user(self.folder, self.root_folder)


class Prompt(Section):
    context_tokens: Annotated[
        int,
        Field(
            ge=256,
            description="Prompt and answer together. With another value than the server's, the model loads again.",
        ),
    ] = 4096
    answer_tokens: Annotated[int, Field(ge=16, description="The longest answer.")] = 768
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0

    @model_validator(mode="after")
    def _room(self) -> Self:
        if self.context_tokens - self.answer_tokens < LEAST_PROMPT:
            raise ValueError(
                f"context_tokens is {self.context_tokens}, and answer_tokens is {self.answer_tokens}: {LEAST_PROMPT} at"
                " least must be left for the prompt. Raise the one, or lower the other"
            )
        return self


class Thresholds(Section):
    """No defaults here: the API, the alerts and the client are given the same values, by the roles."""

    max_lag: Annotated[int, Field(ge=0, description="Blocks behind the best.")]
    max_finality_lag: Annotated[int, Field(ge=0, description="Best above finalized.")]
    min_peers: Annotated[int, Field(ge=0)]
    stale_seconds: Annotated[Seconds, Field(description="Older data is unknown.")]


class Claude(Section):
    api_key_file: Annotated[Path | None, Field(description="Without it ANTHROPIC_API_KEY.")] = None
    url: Annotated[AnyHttpUrl | None, Field(description="Without it, Anthropic's address.")] = None
    model: str = "claude-sonnet-5-5"
    timeout: Annotated[Seconds, Field(description="One call with its retries.")] = 60.0
    effort: Annotated[
        Literal["default", "low", "medium", "high", "xhigh", "max"],
        Field(description="How much it thinks; default: the model's own, for models that do not know the parameter."),
    ] = "medium"
    max_tokens: Annotated[int, Field(ge=64, description="Its thoughts and its answer together.")] = 4096
    budget: Annotated[Dollars, Field(description="Dollars per day (UTC); 0: never ask.")] = 2.0
    repeat_seconds: Annotated[
        float, Field(ge=0, description="The same findings are not analysed again for so long.")
    ] = 900.0
    price_in: Annotated[
        Dollars | None, Field(description="Dollars per million tokens of prompts; without it, from the built-in list.")
    ] = None
    price_out: Annotated[Dollars | None, Field(description="The same of answers.")] = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.price_in is None) != (self.price_out is None):
            raise ValueError("price_in and price_out belong together: set both, or neither")
        return self


class Ledger(Section):
    folder: Annotated[Path, Field(description="Each user has a folder in it.")] = Field(
        default_factory=lambda: _state("state")
    )
    root_folder: Annotated[Path | None, Field(description="The folder for root.")] = None

    @property
    def of_this_user(self) -> Path:
        return _of_this_user(self.folder, self.root_folder)


class Node(Section):
    """This host's own validator."""

    unit: Annotated[str, Field(pattern=r"^[A-Za-z0-9:_.@\\-]+$")] = "flare-node"
    metrics_url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:9615/metrics")
    timeout: Seconds = 10.0
    bootnodes: Annotated[tuple[str, ...], Field(description="What `gizzi peers` may recommend.")] = ()


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="GIZZI_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    model: Annotated[str, Field(min_length=1)] = "llama3.1:8b"
    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1, description="Asked in this order.")] = (
        Endpoint(name="own", url=AnyHttpUrl("http://127.0.0.1:11434")),
    )
    confidence: Annotated[float, Field(ge=0, le=1, description="A verdict with a lower confidence does not count.")] = (
        0.6
    )
    api: Api = Api()
    deadlines: Deadlines = Deadlines()
    failover: Failover = Failover()
    cache: Cache = Field(default_factory=Cache)
    prompt: Prompt = Prompt()
    thresholds: Annotated[
        Thresholds | None, Field(description="The limits of the rules; without them there are no rules.")
    ] = None
    claude: Claude = Claude()
    ledger: Ledger = Field(default_factory=Ledger)
    node: Node = Node()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=config_path())

    @field_validator("endpoints")
    @classmethod
    def _unique(cls, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        names = [endpoint.name for endpoint in endpoints]
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"every endpoint needs its own name; twice: {', '.join(doubles)}")
        return endpoints


def limits(settings: Settings) -> Thresholds:
    """Return the thresholds of the rules. Errors: SettingsError where there are none."""
    if settings.thresholds is None:
        raise SettingsError(
            f"{config_path()} has no thresholds, and without them no validator can be judged",
            hint=f"Write a table [thresholds] with {', '.join(Thresholds.model_fields)}: the values of the Gizzi API.",
        )
    return settings.thresholds


def config_path() -> Path:
    """Return where the settings' file is, or would be."""
    return Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)


def load() -> Settings:
    """Read the settings. Errors: SettingsError, which names every problem."""
    path = config_path()
    try:
        # A file that exists and cannot be read is no reason for defaults.
        if path.exists():
            path.read_bytes()
        return Settings()
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in one['loc']) or 'settings'}: {one['msg']}" for one in error.errors()
        ]
        raise SettingsError(f"{path} or the environment: {'; '.join(problems)}") from error
    except PermissionError as error:
        raise SettingsError(f"{path}: this user may not read it", hint=MEMBERS) from error
    except (SourceError, OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from error


def sources() -> list[tuple[str, dict[str, Any]]]:
    """Return what each source of the settings gives, as it is there, the stronger first. Call it after ``load``."""
    return [
        ("environment", EnvSettingsSource(Settings)()),
        ("file", TomlConfigSettingsSource(Settings, toml_file=config_path())()),
    ]


def at(host: str) -> Endpoint:
    """Return the endpoint of a host, with port 11434 and http unless it says otherwise. Errors: SettingsError."""
    text = host if "://" in host else f"http://{host}"
    try:
        url = AnyHttpUrl(text)
        # A URL without a port means Ollama's, except where the scheme was given and so its own port.
        if "://" not in host and url.port == 80 and not text.rstrip("/").endswith(":80"):
            url = AnyHttpUrl.build(scheme="http", host=url.host or "", port=11434, path=(url.path or "/").lstrip("/"))
    except ValidationError as error:
        raise SettingsError(f"not the address of an Ollama server: {host!r}") from error
    return Endpoint(name=str(url).rstrip("/"), url=url)


def read_secret(path: Path) -> str:
    """Return what a file with a secret holds; nothing in it is an error too. Errors: SettingsError."""
    try:
        secret = path.read_text("utf-8").strip()
    except PermissionError as error:
        raise SettingsError(f"the secret in {path}: this user may not read it", hint=MEMBERS) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the secret in {path} cannot be read: {error}") from error
    if not secret:
        raise SettingsError(f"the secret in {path} is empty")
    return secret
