# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible's part of action settings: specifications in the collection, and variables without a host's facts."""

from __future__ import annotations

import importlib
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ansible import constants, context
from ansible.errors import AnsibleError
from ansible.module_utils.common.yaml import yaml_load
from ansible.vars import manager

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._settings import (
    Typed,
    fleet,
    shown,
    typed,
    without_prefix,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._names import unknown

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

# Prefixes of variables that are not the role's name.
PREFIXES = {"fleet": "gizzi", "takeover": "gizzi"}
# Variables that Ansible itself uses for the login.
SSH = {"ansible_host": {"type": "str"}, "ansible_port": {"type": "int", "default": 22}}
COLLECTION = Path(__file__).parents[2]
RULES = "ansible_collections.etrid.gizzi.plugins.module_utils._settings"


def options_of(role: str, root: Path = COLLECTION) -> dict[str, t.Any]:
    """Return the options of a role, or of a playbook's part, from its argument specification.

    Raise GizziError where there is none.
    """
    if not role.isidentifier():
        raise GizziError(f"role is {shown(role)}. It must be the name of a role of this collection.")
    for path, entry in (
        (root / "roles" / role / "meta/argument_specs.yml", "main"),
        (root / "playbooks/meta/argument_specs.yml", role),
    ):
        specs = yaml_load(path.read_text(encoding="utf-8"))["argument_specs"] if path.is_file() else {}
        if entry in specs:
            options = dict(specs[entry].get("options") or {})
            rules = rules_of(role)
            same = {name: options_of(home, root)[other] for name, (home, other) in rules.same_as.items()}
            return {**options, **same, **rules.options}
    raise GizziError(f"role is {shown(role)}, which has no argument specification in this collection.")


def known_names(root: Path = COLLECTION) -> frozenset[str]:
    """Return the names of all variables of the collection's roles and playbooks."""
    paths = [*root.glob("roles/*/meta/argument_specs.yml"), root / "playbooks/meta/argument_specs.yml"]
    specs = [yaml_load(path.read_text(encoding="utf-8"))["argument_specs"] for path in paths]
    return frozenset(name for spec in specs for entry in spec.values() for name in entry.get("options") or {})


@dataclass(frozen=True)
class Rules:
    """The functions of a role's module in _settings; a missing function finds no problem and returns no value."""

    problems: t.Callable[[dict[str, t.Any]], list[str]]
    derived: t.Callable[[dict[str, t.Any]], dict[str, t.Any]]
    look: t.Callable[[dict[str, t.Any]], dict[str, t.Any]]
    left_out: t.Callable[[dict[str, t.Any], t.Mapping[str, t.Any]], str]
    host_problems: t.Callable[[dict[str, t.Any], t.Mapping[str, t.Any]], list[str]]
    host_derived: t.Callable[[dict[str, t.Any], t.Mapping[str, t.Any]], dict[str, t.Any]]
    host_notes: t.Callable[[dict[str, t.Any], t.Mapping[str, t.Any]], list[str]]
    same_as: dict[str, tuple[str, str]]
    options: dict[str, t.Any]


def rules_of(role: str) -> Rules:
    """Return the rules for a role's values."""
    name = f"{RULES}.{role}"
    module: ModuleType | None = None
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise

    def found(function: str, nothing: t.Any) -> t.Any:
        return getattr(module, function, lambda *_values: nothing)

    return Rules(
        found("problems", []),
        found("derived", {}),
        found("look", {}),
        found("left_out", ""),
        found("host_problems", []),
        found("host_derived", {}),
        found("host_notes", []),
        getattr(module, "SAME_AS", {}),
        getattr(module, "OPTIONS", {}),
    )


def _rendered(
    options: Mapping[str, t.Any], variables: Mapping[str, t.Any], templar: t.Any
) -> tuple[dict[str, t.Any], dict[str, str]]:
    """Return the variables that options name, with evaluated templates, and the reasons where this fails, by name."""
    values: dict[str, t.Any] = {}
    problems: dict[str, str] = {}
    templar = templar.copy_with_new_env(available_variables=variables)
    for name in options:
        if name not in variables:
            continue
        try:
            values[name] = templar.template(variables[name])
        except AnsibleError as error:
            # Only the first line: the next lines show the text around the error, which may be a secret.
            reason = str(error).partition("\n")[0].rstrip(".")
            problems[name] = f"{name} cannot be read: {reason}. Correct its value, or define what it uses."
    return values, problems


def _facts_are_injected() -> bool:
    """Whether ansible.cfg sets inject_facts_as_vars; a later ansible-core has neither the setting nor the function."""
    return bool(getattr(constants, "INJECT_FACTS_AS_VARS", False))


@contextmanager
def without_injected_facts() -> Iterator[None]:
    """During the block, a host's facts are no variables, even if inject_facts_as_vars is on in ansible.cfg.

    Ansible's own facts (``ansible_distribution``) stay variables. Otherwise a host that returns the fact
    ``gizzi_addresses`` could decide which addresses have access to another host's port.
    """
    if not _facts_are_injected():
        yield
        return
    cleaned = manager.clean_facts

    def known(facts: dict[str, t.Any]) -> dict[str, t.Any]:
        return {name: value for name, value in cleaned(facts).items() if name.startswith("ansible_")}

    manager.clean_facts = known
    try:
        yield
    finally:
        manager.clean_facts = cleaned


def trusted(task: t.Any, task_vars: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return a task's variables without its host's facts. Call it inside without_injected_facts."""
    doubted = {name for name in task_vars.get("ansible_facts") or {} if name in task_vars}
    if not doubted or not _facts_are_injected():
        return dict(task_vars)
    sure = variables_of(task, task_vars, task_vars["inventory_hostname"])
    kept = {name: value for name, value in task_vars.items() if name not in doubted}
    return kept | {name: sure[name] for name in doubted if name in sure}


def variables_of(task: t.Any, task_vars: Mapping[str, t.Any], host: str) -> dict[str, t.Any]:
    """Return a task's variables on a host of the inventory. Call it inside without_injected_facts."""
    inventory = task_vars["hostvars"]._inventory
    found: dict[str, t.Any] = task.get_variable_manager().get_vars(
        play=task.get_play(), host=inventory.get_host(host), task=task
    )
    return found


def with_login(variables: Mapping[str, t.Any], host: str) -> dict[str, t.Any]:
    """Return the variables with Ansible's defaults for the login where the inventory has none."""
    user = context.CLIARGS.get("remote_user")
    return {"ansible_host": host, **({"ansible_user": user} if user else {}), **variables}


@dataclass(frozen=True)
class Judged:
    """A role's typed and computed values, by names without its prefix, or their problems; and what the user is told."""

    role: str
    values: dict[str, t.Any]
    problems: list[str]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def look(self) -> dict[str, t.Any]:
        """The options of host_state for the host; empty where the host is not needed."""
        return {} if self.problems else rules_of(self.role).look(self.values)

    def on(self, host: Mapping[str, t.Any], fleet: bool = False) -> Judged:
        """Return a copy with the values computed from the result of host_state, or with what the host lacks.

        :param fleet: whether the run is over the whole fleet, which may go on without the role on one host.

        Raise GizziError where the answer is not from host_state.
        """
        rules = rules_of(self.role)
        try:
            reason = rules.left_out(self.values, host) if fleet else ""
            if reason:
                absent = {**self.values, "state": "absent"}
                return Judged(self.role, absent | rules.derived(absent), [], [reason])
            problems = rules.host_problems(self.values, host)
            follows = {} if problems else rules.host_derived(self.values, host)
            notes = [] if problems else rules.host_notes(self.values, host)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise GizziError(f"The host's answer does not have the form of host_state: {error!r}.") from None
        return Judged(self.role, self.values | follows, problems, notes)


def settings(role: str, task: t.Any, task_vars: Mapping[str, t.Any], templar: t.Any) -> Judged:
    """Return a role's values, checked without the host. templar is the action's own, because of its loader."""
    options = options_of(role)
    with without_injected_facts():
        name = task_vars["inventory_hostname"]
        if role == "fleet":
            seen, found = _fleet(options, task, task_vars, templar)
            options = {option: one for option, one in options.items() if option not in fleet.PER_HOST}
        else:
            seen, found = {}, unknown(trusted(task, task_vars), known_names())
        given, unread = _rendered(options, with_login(trusted(task, task_vars), name), templar)
    judgement = judged(role, options, given, unread, seen)
    return Judged(role, judgement.values, [*judgement.problems, *found])


def judged(
    role: str,
    options: Mapping[str, t.Any],
    given: Mapping[str, t.Any],
    unread: Mapping[str, str],
    seen: Mapping[str, t.Any],
) -> Judged:
    """Return the typed and the computed values, or all problems of types and rules.

    :param seen: further values for the rules.
    """
    read = _typed(options, given, unread)
    problems = list(read.problems)
    values = {**without_prefix(PREFIXES.get(role, role), read.values), **seen}
    rules = rules_of(role)
    if read.complete:
        problems += rules.problems(values)
    if not problems:
        values |= rules.derived(values)
    return Judged(role, {name: value for name, value in values.items() if name not in seen}, problems)


def one_look(looks: t.Iterable[Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """Return the options of one call of host_state for several roles.

    Lists are joined; any other option has a value for one role only.
    """
    joined: dict[str, t.Any] = {}
    for options in looks:
        for name, value in options.items():
            joined[name] = list(dict.fromkeys([*joined.get(name, []), *value])) if isinstance(value, list) else value
    return joined


def _typed(options: Mapping[str, t.Any], given: Mapping[str, t.Any], unread: Mapping[str, str]) -> Typed:
    """Return the values, with defaults for those that could not be read, and all problems."""
    read = typed({name: one for name, one in options.items() if name not in unread}, given)
    defaults = typed({name: {**options[name], "required": False} for name in unread}, {})
    return Typed(
        {**read.values, **defaults.values},
        [*unread.values(), *read.problems],
        read.wrong | unread.keys(),
        read.complete and not any(options[name].get("required") for name in unread),
    )


def _fleet(
    options: Mapping[str, t.Any], task: t.Any, task_vars: Mapping[str, t.Any], templar: t.Any
) -> tuple[dict[str, t.Any], list[str]]:
    """Return groups and hosts for the rules of the fleet, and the problems of the hosts' variables."""
    groups = {name: list(task_vars["groups"].get(name, [])) for name in ("all", *fleet.GROUPS)}
    names = list(dict.fromkeys(name for group in fleet.GROUPS for name in groups[group]))
    of_hosts = {name: options[name] for name in fleet.PER_HOST} | SSH
    for role in fleet.ROLES:
        of_hosts |= options_of(role)
    of_hosts[fleet.API_STATE] = options_of("gizzi_api")[fleet.API_STATE]
    hosts: dict[str, t.Any] = {}
    known = known_names()
    said: dict[str, list[str]] = {}
    for name in names:
        variables = variables_of(task, task_vars, name)
        given, unread = _rendered(of_hosts, with_login(variables, name), templar)
        read = _typed(of_hosts, given, unread)
        hosts[name] = fleet.host_values(read, of_hosts, given)
        for problem in [*read.problems, *unknown(variables, known)]:
            said.setdefault(problem, []).append(name)
    found = [text if len(of) == len(names) > 1 else f"{', '.join(of)}: {text}" for text, of in said.items()]
    return {"groups": groups, "inventory": hosts}, found
