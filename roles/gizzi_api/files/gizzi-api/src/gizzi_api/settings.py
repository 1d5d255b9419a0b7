# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one settings object: a TOML file, and the environment over it."""

from __future__ import annotations

import json
import os
import tomllib
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

CONFIG_VARIABLE = "GIZZI_API_CONFIG"
DEFAULT_CONFIG = Path("/etc/gizzi/api.toml")

Fact = Literal["up", "sampled", "best", "best_before", "finalized", "sync_target", "peers", "syncing"]

# One upstream query each: an expression that Prometheus refuses takes only its own group with it.
GROUPS: tuple[tuple[Fact, ...], ...] = (
    ("up", "sampled"),
    ("best", "best_before"),
    ("finalized", "sync_target"),
    ("peers",),
    ("syncing",),
)
FACTS: tuple[Fact, ...] = tuple(fact for group in GROUPS for fact in group)

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Listed(Section):
    """A validator of the inventory."""

    number: Annotated[int, Field(ge=0, description="Value of `prometheus.label` in Prometheus.")]
    name: Annotated[str, Field(min_length=1, max_length=64)]


class Prometheus(Section):
    url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:9090")
    timeout: Annotated[Seconds, Field(description="Limit for one set of the API's own queries.")] = 10.0
    max_bytes: Annotated[int, Field(ge=1000, description="Limit for one answer to them.")] = 8_000_000
    preset: Annotated[Literal["substrate", "etrid"], Field(description="Whose metric names.")] = "substrate"
    job: Annotated[str, Field(min_length=1, description="Prometheus' job that scrapes the nodes.")] = "substrate"
    label: Annotated[
        str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", description="The label that has the validator's number.")
    ] = "validator"


class Thresholds(Section):
    """No defaults here: the API, the alerts and the client are given the same values, by the role."""

    max_lag: Annotated[int, Field(ge=0, description="Blocks behind the best before `lagging`.")]
    max_finality_lag: Annotated[int, Field(ge=0, description="Best above finalized before `lagging`.")]
    min_peers: Annotated[int, Field(ge=0, description="Fewer peers are `isolated`.")]
    stall_seconds: Annotated[int, Field(ge=1, description="No new block for so long is `lagging`.")]
    stale_seconds: Annotated[Seconds, Field(description="Older data is `unknown`.")]


class Query(Section):
    """What callers with the token may ask Prometheus."""

    mode: Annotated[Literal["off", "named", "any"], Field(description="`named`: selectors of `metrics` only.")] = "any"
    metrics: Annotated[tuple[str, ...], Field(description="Metric names for mode `named`.")] = ()
    token_file: Annotated[Path | None, Field(description="File with the token; without it nobody may query.")] = None
    timeout: Seconds = 5.0
    max_length: Annotated[int, Field(ge=1, le=32_768, description="Characters of a query.")] = 4096
    max_series: Annotated[int, Field(ge=1)] = 1000
    max_bytes: Annotated[int, Field(ge=1000)] = 1_000_000
    concurrency: Annotated[int, Field(ge=1, description="Queries at once; more are refused.")] = 4

    def read_token(self) -> bytes | None:
        """Return the token; an unreadable or empty file is an error, never an open door."""
        if self.token_file is None:
            return None
        token = self.token_file.read_bytes().strip()
        if not token:
            raise ValueError(f"query.token_file {self.token_file} is empty")
        return token


class History(Section):
    seconds: Annotated[int, Field(ge=60, le=86_400)] = 3600
    step: Annotated[int, Field(ge=1, le=3600)] = 60
    keep_seconds: Seconds = 30.0


class Expressions(Section):
    """PromQL for each fact; an empty one is not asked, and the rule that needs it does not apply."""

    up: Annotated[str, Field(min_length=1)]
    sampled: Annotated[str, Field(min_length=1)]
    best: Annotated[str, Field(min_length=1)]
    best_before: str
    finalized: str
    sync_target: str
    peers: str
    syncing: str
    details: str

    def of(self, fact: Fact) -> str:
        expression: str = getattr(self, fact)
        return expression


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="GIZZI_API_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    host: Annotated[str, Field(description="Address to listen on; `::` is IPv4 and IPv6.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    cache_seconds: Annotated[Seconds, Field(description="How long an answer of Prometheus is kept.")] = 5.0
    wait_seconds: Annotated[float, Field(gt=0, lt=2, description="How long a caller waits for a new one.")] = 1.5
    page_refresh_seconds: Annotated[int, Field(ge=1, le=3600)] = 10
    validators: Annotated[tuple[Listed, ...], Field(min_length=1, max_length=1000)]
    prometheus: Prometheus = Prometheus()
    thresholds: Thresholds
    query: Query = Query()
    history: History = History()
    expressions: Annotated[dict[str, str], Field(description="Expressions that replace the preset's.")] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=path)

    @field_validator("validators")
    @classmethod
    def _unique(cls, listed: tuple[Listed, ...]) -> tuple[Listed, ...]:
        for key in ("number", "name"):
            values = [getattr(validator, key) for validator in listed]
            if doubles := sorted({str(value) for value in values if values.count(value) > 1}):
                raise ValueError(f"every validator needs its own {key}; listed twice: {', '.join(doubles)}")
        return listed

    @field_validator("expressions")
    @classmethod
    def _known(cls, expressions: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if unknown := sorted(expressions.keys() - Expressions.model_fields.keys()):
            known = ", ".join(Expressions.model_fields)
            raise ValueError(f"no such expression: {', '.join(unknown)}; there are {known}")
        return expressions

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.query.mode == "named" and not self.query.metrics:
            raise ValueError("query.mode is 'named', and query.metrics names none")
        _unused = self.promql
        return self

    @cached_property
    def promql(self) -> Expressions:
        """The preset with the replaced expressions, ready to be sent but for $VALIDATOR."""
        text = resources.files("gizzi_api").joinpath("presets", f"{self.prometheus.preset}.toml").read_text("utf-8")
        merged: dict[str, Any] = tomllib.loads(text) | self.expressions
        job = json.dumps(self.prometheus.job, ensure_ascii=False)[1:-1]
        return Expressions.model_validate(
            {
                name: expression.replace("$JOB", job)
                .replace("$LABEL", self.prometheus.label)
                .replace("$STALL", str(self.thresholds.stall_seconds))
                .strip()
                for name, expression in merged.items()
            }
        )
