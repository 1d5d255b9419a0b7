# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options and result of an update of one model on one server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._derived import Definition, wanted_parameters
from ansible_collections.etrid.gizzi.plugins.module_utils._derived_state import Desired as DesiredDerived
from ansible_collections.etrid.gizzi.plugins.module_utils._derived_state import read_adapter
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._fetch import Mirror, read_mirror
from ansible_collections.etrid.gizzi.plugins.module_utils._http import check_base_url
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_servable_name
from ansible_collections.etrid.gizzi.plugins.module_utils._model_state import Desired
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Registry, parse_digest, registry_at
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.plugins.module_utils._update.evaluation import Evaluation, Prompt, read_prompts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._derived_state import Adapter
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

LATEST, PREVIOUS = "latest", "previous"
CHECKED, PULLED, SETTLED = "checked", "pulled", "settled"
# The verdicts that need an operator.
BAD = frozenset(("unhealthy", "restored", "failed", "refused"))


@dataclass(frozen=True)
class Derived:
    """A model derived from the updated model."""

    name: ModelName
    definition: Definition
    adapter: Adapter | None

    def desired(self, name: ModelName, base: ModelName, timeout: float) -> DesiredDerived:
        """Return the derived model with this name and base; timeout is the longest silence in seconds."""
        return DesiredDerived(name, base, self.definition, self.adapter, timeout)


@dataclass(frozen=True)
class Wanted:
    """Options of an update. Each is the option of that name of module ollama_model_update; times in seconds."""

    name: ModelName
    state: str
    until: str
    digest: str | None
    derived: tuple[Derived, ...]
    registry: Registry
    mirror: Mirror | None
    store: Store | None
    reserved_disk: int
    verify_blobs: bool
    keep: int
    prompts: tuple[Prompt, ...]
    prompt_timeout: float
    minimum_speed: float
    answer_timeout: float
    pull_timeout: float
    stall_timeout: float
    request_timeout: float
    validator_metrics: str
    validator_timeout: float
    check_mode: bool

    def pull(self) -> Desired:
        """Return the options of the pull in the form of module ollama_model."""
        return Desired(
            name=self.name,
            state=LATEST,
            registry=self.registry,
            digest=self.digest,
            store=self.store,
            reserved_disk=self.reserved_disk,
            stall_timeout=self.stall_timeout,
            timeout=self.pull_timeout,
            request_timeout=self.request_timeout,
            verify_blobs=self.verify_blobs,
            mirror=self.mirror,
        )


@dataclass
class DerivedResult:
    """The result of a model derived from the updated model."""

    model: str
    verdict: str
    reason: str
    digest_before: str | None = None
    digest_after: str | None = None
    speed_after: float | None = None


@dataclass
class Result:
    """The result of an update. Each is the module's result of that name."""

    model: str
    verdict: str = "current"
    reason: str = ""
    changed: bool = False
    digest_before: str | None = None
    digest_after: str | None = None
    digest_wanted: str | None = None
    bytes_pulled: int = 0
    bytes_missing: int | None = None
    speed_before: float | None = None
    speed_after: float | None = None
    pass_rate_before: float | None = None
    pass_rate_after: float | None = None
    derived: list[DerivedResult] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    freed: int = 0
    seconds: float = 0
    warnings: list[str] = field(default_factory=list)

    def note_before(self, found: Evaluation) -> None:
        """Note the evaluation of the model in use."""
        self.speed_before, self.pass_rate_before = found.speed, found.pass_rate

    def note_after(self, found: Evaluation) -> None:
        """Note the evaluation of the new model."""
        self.speed_after, self.pass_rate_after = found.speed, found.pass_rate


def wanted_update(params: Mapping[str, Any], check_mode: bool) -> Wanted:
    """Read the module's options; raise GizziError with the wrong value and the right form."""
    if params["keep"] < 0:
        raise GizziError(f"keep: {params['keep']} previous models cannot be kept; 0 or more can.")
    if not 0 <= params["minimum_speed"] <= 1:
        raise GizziError(f"minimum_speed: {params['minimum_speed']:g} is no part of the old speed, from 0 to 1.")
    name = parse_servable_name(params["name"])
    registry = registry_at(params["registry"])
    return Wanted(
        name=name,
        state=params["state"],
        until=params["until"],
        digest=parse_digest(params["digest"]) if params["digest"] else None,
        derived=tuple(_derived(name, given) for given in params["derived"]),
        registry=registry.of(name),
        mirror=read_mirror(params, pulls=params["state"] == LATEST),
        store=Store(Path(params["models_dir"])) if params["models_dir"] else None,
        reserved_disk=params["reserved_disk"],
        verify_blobs=params["verify_blobs"],
        keep=params["keep"],
        prompts=read_prompts(params["prompts"]) if params["state"] == LATEST else (),
        prompt_timeout=params["prompt_timeout"],
        minimum_speed=params["minimum_speed"],
        answer_timeout=params["answer_timeout"],
        pull_timeout=params["pull_timeout"],
        stall_timeout=params["stall_timeout"],
        request_timeout=params["request_timeout"],
        validator_metrics=check_base_url(params["validator_metrics"], "validator_metrics")
        if params["validator_metrics"]
        else "",
        validator_timeout=params["validator_timeout"],
        check_mode=check_mode,
    )


def _derived(base: ModelName, given: Mapping[str, Any]) -> Derived:
    name = parse_servable_name(given["name"])
    if name.same_as(base):
        raise GizziError(f"derived: {name} cannot be made from itself.")
    adapter = read_adapter(Path(given["adapter"])) if given["adapter"] else None
    definition = Definition(
        template=given["template"] or "",
        system=given["system"] or "",
        parameters=wanted_parameters(given["parameters"] or {}),
        adapter=adapter.digest if adapter else "",
    )
    return Derived(name, definition, adapter)
