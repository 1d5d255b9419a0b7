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

from ansible import constants
from ansible.errors import AnsibleError
from ansible.module_utils.common.yaml import yaml_load
from ansible.vars import manager

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._settings import shown, typed, without_prefix

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

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
            return options | {
                name: options_of(home, root)[other] for name, (home, other) in rules_of(role).same_as.items()
            }
    raise GizziError(f"role is {shown(role)}, which has no argument specification in this collection.")


@dataclass(frozen=True)
class Rules:
    """What a role's module beside the mechanism has to say; a function that it does not have finds nothing."""

    problems: t.Callable[[dict[str, t.Any]], list[str]]
    derived: t.Callable[[dict[str, t.Any]], dict[str, t.Any]]
    host_problems: t.Callable[[dict[str, t.Any], t.Mapping[str, t.Any]], list[str]]
    same_as: dict[str, tuple[str, str]]


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

    same_as = getattr(module, "SAME_AS", {})
    return Rules(found("problems", []), found("derived", {}), found("host_problems", []), same_as)


class Templar(t.Protocol):
    def template(self, variable: t.Any) -> t.Any: ...


def rendered(
    options: Mapping[str, t.Any], variables: Mapping[str, t.Any], templar: Templar
) -> tuple[dict[str, t.Any], dict[str, str]]:
    """Return the variables that options name, with their templates evaluated, and by name why others cannot be."""
    values: dict[str, t.Any] = {}
    problems: dict[str, str] = {}
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


@contextmanager
def without_injected_facts() -> Iterator[None]:
    """While this lasts, what a host called a fact is no variable, also where ansible.cfg has inject_facts_as_vars on.

    Ansible's own facts (``ansible_distribution``) stay what they are; a host that answers with the fact
    ``gizzi_addresses`` would decide what another one opens its port to.
    """
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
    if not doubted or not constants.INJECT_FACTS_AS_VARS:
        return dict(task_vars)
    hostvars = task_vars["hostvars"]
    host = hostvars._inventory.get_host(task_vars["inventory_hostname"])
    sure = task.get_variable_manager().get_vars(play=task.get_play(), host=host, task=task)
    kept = {name: value for name, value in task_vars.items() if name not in doubted}
    return kept | {name: sure[name] for name in doubted if name in sure}


def settings(
    role: str, host: Mapping[str, t.Any] | None, task: t.Any, task_vars: Mapping[str, t.Any], templar: t.Any
) -> tuple[dict[str, t.Any], list[str]]:
    """Return a role's values and what follows from them, by names without its prefix, or what is wrong with them.

    :param host: what ``host_state`` saw of the host, for the rules between values and host.
    :param templar: the action's own, for its loader.
    """
    options = options_of(role)
    with without_injected_facts():
        variables = trusted(task, task_vars)
        given, unread = rendered(options, variables, templar.copy_with_new_env(available_variables=variables))
    return judged(role, options, given, unread, host)


def judged(
    role: str,
    options: Mapping[str, t.Any],
    given: Mapping[str, t.Any],
    unread: Mapping[str, str],
    host: Mapping[str, t.Any] | None = None,
) -> tuple[dict[str, t.Any], list[str]]:
    """Return the typed and the derived values, or all problems: of the types, of the rules, of the host."""
    read = typed({name: one for name, one in options.items() if name not in unread}, given)
    # Those that could not be read are their defaults, for the rules between the others.
    values = without_prefix(role, {name: options[name].get("default") for name in unread} | read.values)
    problems = [*unread.values(), *read.problems]
    rules = rules_of(role)
    complete = read.complete and not any(options[name].get("required") for name in unread)
    if complete:
        problems += rules.problems(values)
    if not problems:
        values |= rules.derived(values)
    if not problems and host is not None:
        problems += rules.host_problems(values, host)
    return values, problems
