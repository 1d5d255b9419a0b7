# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the action settings knows of Ansible: specifications in the collection, and variables without a host's facts."""

from __future__ import annotations

import importlib
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass
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

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

# What variables begin with, where it is not the role's name.
PREFIXES = {"fleet": "gizzi"}
# What Ansible itself reads, to log in.
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


@dataclass(frozen=True)
class Rules:
    """What a role's module beside the mechanism has to say; a function that it does not have finds nothing."""

    problems: t.Callable[[dict[str, t.Any]], list[str]]
    derived: t.Callable[[dict[str, t.Any]], dict[str, t.Any]]
    look: t.Callable[[dict[str, t.Any]], dict[str, t.Any]]
    host_problems: t.Callable[[dict[str, t.Any], t.Mapping[str, t.Any]], list[str]]
    host_derived: t.Callable[[dict[str, t.Any], t.Mapping[str, t.Any]], dict[str, t.Any]]
    same_as: dict[str, tuple[str, str]]
    options: dict[str, t.Any]


def rules_of(role: str) -> Rules:
    """Return the rules between the values of a role."""
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
        found("host_problems", []),
        found("host_derived", {}),
        getattr(module, "SAME_AS", {}),
        getattr(module, "OPTIONS", {}),
    )


def _rendered(
    options: Mapping[str, t.Any], variables: Mapping[str, t.Any], templar: t.Any
) -> tuple[dict[str, t.Any], dict[str, str]]:
    """Return the variables that options name, with their templates evaluated, and by name why others cannot be."""
    values: dict[str, t.Any] = {}
    problems: dict[str, str] = {}
    templar = templar.copy_with_new_env(available_variables=variables)
    for name in options:
        if name not in variables:
            continue
        try:
            values[name] = templar.template(variables[name])
        except AnsibleError as error:
            # Beyond its first line, the message shows the text around the fault, which may be a secret.
            reason = str(error).partition("\n")[0].rstrip(".")
            problems[name] = f"{name} cannot be read: {reason}. Mend its value, or define what it uses."
    return values, problems


def _facts_are_injected() -> bool:
    """Whether ansible.cfg has it so; a later ansible-core will not know the setting, nor do it."""
    return bool(getattr(constants, "INJECT_FACTS_AS_VARS", False))


@contextmanager
def without_injected_facts() -> Iterator[None]:
    """While this lasts, what a host called a fact is no variable, also where ansible.cfg has inject_facts_as_vars on.

    Ansible's own facts (``ansible_distribution``) stay what they are; a host that answers with the fact
    ``gizzi_addresses`` would decide what another one opens its port to.
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
    """Return a task's variables without those that are facts of its host. To be called without_injected_facts."""
    doubted = {name for name in task_vars.get("ansible_facts") or {} if name in task_vars}
    if not doubted or not _facts_are_injected():
        return dict(task_vars)
    sure = variables_of(task, task_vars, task_vars["inventory_hostname"])
    kept = {name: value for name, value in task_vars.items() if name not in doubted}
    return kept | {name: sure[name] for name in doubted if name in sure}


def variables_of(task: t.Any, task_vars: Mapping[str, t.Any], host: str) -> dict[str, t.Any]:
    """Return the variables that a task has on a host of the inventory. To be called without_injected_facts."""
    inventory = task_vars["hostvars"]._inventory
    found: dict[str, t.Any] = task.get_variable_manager().get_vars(
        play=task.get_play(), host=inventory.get_host(host), task=task
    )
    return found


def with_login(variables: Mapping[str, t.Any], host: str) -> dict[str, t.Any]:
    """Return the variables with what Ansible takes where the inventory does not say how to log in."""
    user = context.CLIARGS.get("remote_user")
    return {"ansible_host": host, **({"ansible_user": user} if user else {}), **variables}


@dataclass(frozen=True)
class Judged:
    """A role's typed values and what follows from them, by names without its prefix, or what is wrong with them."""

    role: str
    values: dict[str, t.Any]
    problems: list[str]

    def look(self) -> dict[str, t.Any]:
        """Return the options by which host_state is to look at the host; empty where nothing of it matters."""
        return {} if self.problems else rules_of(self.role).look(self.values)

    def on(self, host: Mapping[str, t.Any]) -> Judged:
        """Return this with what follows from the host, as host_state saw it, or with what that lacks.

        Raise GizziError where the host's answer is not one of host_state.
        """
        rules = rules_of(self.role)
        try:
            problems = rules.host_problems(self.values, host)
            follows = {} if problems else rules.host_derived(self.values, host)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise GizziError(f"What the host says of itself has not the form of host_state: {error!r}.") from None
        return Judged(self.role, self.values | follows, problems)


def settings(role: str, task: t.Any, task_vars: Mapping[str, t.Any], templar: t.Any) -> Judged:
    """Return a role's values, judged without a look at the host. templar is the action's own, for its loader."""
    options = options_of(role)
    with without_injected_facts():
        name = task_vars["inventory_hostname"]
        if role == "fleet":
            seen, found = _fleet(options, task, task_vars, templar)
            options = {option: one for option, one in options.items() if option not in fleet.PER_HOST}
        else:
            seen, found = {}, []
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
    """Return the typed and the derived values, or all problems of the types and of the rules between values.

    :param seen: what the rules look at besides.
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
    """Return the options by which host_state sees in one call all that several roles look at.

    Lists are joined; of any other option one role alone has a value.
    """
    joined: dict[str, t.Any] = {}
    for options in looks:
        for name, value in options.items():
            joined[name] = list(dict.fromkeys([*joined.get(name, []), *value])) if isinstance(value, list) else value
    return joined


def _typed(options: Mapping[str, t.Any], given: Mapping[str, t.Any], unread: Mapping[str, str]) -> Typed:
    """Return the values, where those that could not be read are their defaults, and the problems of all."""
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
    """Return groups and hosts as the rules of the fleet take them, and what is wrong with variables of hosts."""
    groups = {name: list(task_vars["groups"].get(name, [])) for name in ("all", *fleet.GROUPS)}
    names = list(dict.fromkeys(name for group in fleet.GROUPS for name in groups[group]))
    of_hosts = {name: options[name] for name in fleet.PER_HOST} | SSH
    for role in fleet.ROLES:
        of_hosts |= options_of(role)
    hosts: dict[str, t.Any] = {}
    said: dict[str, list[str]] = {}
    for name in names:
        given, unread = _rendered(of_hosts, with_login(variables_of(task, task_vars, name), name), templar)
        read = _typed(of_hosts, given, unread)
        hosts[name] = fleet.host_values(read, of_hosts, given)
        for problem in read.problems:
            said.setdefault(problem, []).append(name)
    found = [text if len(of) == len(names) > 1 else f"{', '.join(of)}: {text}" for text, of in said.items()]
    return {"groups": groups, "inventory": hosts}, found
