# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role documents is what it does: argument_specs.yml and defaults/main.yml agree, and the README names all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted(path.parent.parent for path in (Path(__file__).parents[3] / "roles").glob("*/meta/argument_specs.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(params=ROLES, ids=lambda role: role.name)
def role(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def options(role: Path) -> dict[str, Any]:
    specs = read(role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec["options"].items()}


def test_defaults_are_the_documented_ones(role: Path, options: dict[str, Any]) -> None:
    defaults = role / "defaults" / "main.yml"
    if not defaults.exists():
        # They stand in the specification alone, from which the action settings takes them.
        assert f"role: {role.name}\n" in (role / "tasks" / "main.yml").read_text(encoding="utf-8")
        return
    documented = {name: option["default"] for name, option in options.items() if "default" in option}
    assert read(defaults) == documented


def test_every_variable_is_described(role: Path, options: dict[str, Any]) -> None:
    readme = (role / "README.md").read_text(encoding="utf-8")
    assert [name for name in options if f"`{name}`" not in readme] == []
    assert [name for name, option in options.items() if not (option.get("type") and option.get("description"))] == []
