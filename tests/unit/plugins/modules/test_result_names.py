"""The names of what modules return: those that Ansible reads itself have its types."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

MODULES = sorted((Path(__file__).resolve().parents[4] / "plugins" / "modules").glob("[!_]*.py"))
# A list under ``skipped`` made Ansible show the whole task as skipped.
TYPES = {
    "ansible_facts": "dict",
    "changed": "bool",
    "failed": "bool",
    "finished": "bool",
    "rc": "int",
    "skipped": "bool",
    "unreachable": "bool",
}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_no_result_has_a_name_of_ansibles_and_another_type(module: Path) -> None:
    _before, _quotes, documented = module.read_text(encoding="utf-8").partition('\nRETURN = r"""')
    results = yaml.safe_load(documented.partition('"""')[0])
    assert results
    assert {name: one["type"] for name, one in results.items() if one["type"] != TYPES.get(name, one["type"])} == {}
