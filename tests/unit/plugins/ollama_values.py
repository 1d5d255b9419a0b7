# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of role ollama, as its argument specification types them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

# Topic ollama in section takeover of host_state, of a host where nothing of an earlier installation is.
NO_EARLIER: dict[str, Any] = {
    "units": [],
    "enabled": [],
    "commands": [],
    "user": "",
    "server": None,
    "variables": [],
    "store": "",
    "models": [],
    "left": [],
}
SPECS = Path(__file__).parents[3] / "roles/ollama/meta/argument_specs.yml"


@lru_cache
def _options() -> dict[str, Any]:
    options: dict[str, Any] = yaml.safe_load(SPECS.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    return options


def ollama_values(**changed: Any) -> dict[str, Any]:
    """Return all values without their prefix: the defaults, and those that are given."""
    given = {f"ollama_{name}": value for name, value in changed.items()}
    validated = ArgumentSpecValidator(_options()).validate(given)
    assert validated.error_messages == []
    return {name[len("ollama_") :]: value for name, value in validated.validated_parameters.items()}
