# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every variable that a playbook takes from its user stands in an argument specification."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import yaml
from jinja2 import meta

ROOT = Path(__file__).parents[3]
# Of Ansible itself.
MAGIC = {"ansible_check_mode", "ansible_failed_result", "ansible_failed_task", "ansible_host", "ansible_play_hosts"}
MAGIC |= {"ansible_play_hosts_all", "groups", "hostvars", "inventory_dir", "inventory_hostname", "item", "lookup"}
MAGIC |= {"ansible_date_time", "ansible_version", "omit", "playbook_dir", "query", "undef"}
CONDITIONS = {"when", "failed_when", "changed_when", "that"}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def specified() -> set[str]:
    paths = [*ROOT.glob("roles/*/meta/argument_specs.yml"), ROOT / "playbooks/meta/argument_specs.yml"]
    return {name for path in paths for spec in read(path)["argument_specs"].values() for name in spec["options"]}


def expressions(value: Any, key: str = "") -> Iterator[str]:
    """Yield everything that Ansible evaluates in a playbook's value."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from expressions(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from expressions(one, key)
    elif isinstance(value, str):
        yield f"{{{{ {value} }}}}" if key in CONDITIONS else value


def own(value: Any) -> Iterator[str]:
    """Yield the names that a playbook's file itself gives."""
    if isinstance(value, dict):
        yield from (value[key] for key in ("loop_var", "register") if key in value)
        for one in value.values():
            yield from own(one)
    elif isinstance(value, list):
        for one in value:
            yield from own(one)


def taken(path: Path) -> set[str]:
    """Return the names that a playbook's file evaluates; those with an underscore in front are the collection's own."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    for group in (environment.filters, environment.tests):
        group.update(dict.fromkeys(_names(path), str))
    found: set[str] = set()
    for text in expressions(read(path)):
        found |= meta.find_undeclared_variables(environment.parse(text))
    return {name for name in found if not name.startswith("_")} - set(own(read(path)))


def _names(path: Path) -> set[str]:
    """Every word of a file may be the name of a filter or a test of Ansible's."""
    words = "".join(one if one.isalnum() or one in "_." else " " for one in path.read_text(encoding="utf-8")).split()
    return {word.strip(".") for word in words}


def test_every_variable_is_specified() -> None:
    known = specified() | MAGIC
    files = [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("playbooks/tasks/*.yml")]
    assert len(files) > 20
    strange = {path.name: taken(path) - known for path in files}
    assert {name: names for name, names in strange.items() if names} == {}
