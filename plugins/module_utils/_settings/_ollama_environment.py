# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ollama_environment and ollama_systemd_overrides: their problems, and their lines in the files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# NO_CLOUD: Ollama refuses to generate with models that run on other computers; it has no other effect. One model and
# one request at a time: host_capacity checks the memory for one.
DEFAULTS = {"OLLAMA_NO_CLOUD": "1", "OLLAMA_MAX_LOADED_MODELS": "1", "OLLAMA_NUM_PARALLEL": "1"}
# Names that the role sets, and the variables from which it sets them.
RESERVED = {
    "OLLAMA_HOST": "ollama_listen",
    "OLLAMA_MODELS": "ollama_models_dir",
    "OLLAMA_CONTEXT_LENGTH": "ollama_context_length",
    "LLAMA_ARG_CACHE_RAM": "ollama_prompt_cache",
    "LLAMA_ARG_THREADS": "ollama_cpu_threads",
}
SECTIONS = ("Unit", "Service", "Install")
CPU_LIMITS = ("CPUQuota", "AllowedCPUs", "CPUAffinity")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SETTING = re.compile(r"[A-Z][A-Za-z0-9]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Characters with a special meaning for systemd in double quotes (systemd.exec(5), EnvironmentFile=).
_ESCAPED = re.compile(r'(["$`\\])')


def server_environment(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of the environment file: the role's defaults, replaced by the user's values."""
    return {**DEFAULTS, **environment}


def environment_lines(environment: Mapping[str, Any]) -> list[str]:
    """Return the lines of a file for EnvironmentFile=; the server gets each value unchanged."""
    quoted = {name: _ESCAPED.sub(r"\\\1", str(value)) for name, value in environment.items()}
    return [f'{name}="{value}"' for name, value in quoted.items()]


def environment_problems(environment: Mapping[str, Any]) -> list[str]:
    """Return the problems of ollama_environment, with names only, because the values may be secret."""
    found = []
    names = [str(name) for name in environment if not _NAME.fullmatch(str(name))]
    if names:
        found.append(f"ollama_environment has a name that no variable can have: {', '.join(names)}.")
    crooked = [str(name) for name, value in environment.items() if not _is_line(value)]
    if crooked:
        found.append(f"A value in ollama_environment is not one line of text: {', '.join(crooked)}.")
    empty = [str(name) for name, value in environment.items() if value in ("", None)]
    if empty:
        found.append(
            f"ollama_environment has no value for {' and '.join(empty)}. Leave the name out: an empty LLAMA_ARG_… "
            "breaks every answer, while the server answers and the models load."
        )
    if "LLAMA_API_KEY" in environment:
        found.append(
            "ollama_environment sets LLAMA_API_KEY. Leave it out: with it llama-server refuses the requests of its own "
            "Ollama, and every answer breaks."
        )
    taken = [name for name in RESERVED if name in environment]
    if taken:
        found.append(
            f"ollama_environment sets {' and '.join(taken)}. Set {' and '.join(RESERVED[name] for name in taken)} "
            "instead."
        )
    return found


def override_lines(overrides: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the lines of each section of the drop-in; a setting is repeated for each item of a list."""
    return {
        section: [f"{setting}={value}" for setting, value in _settings(settings)]
        for section, settings in overrides.items()
    }


def override_problems(overrides: Mapping[str, Any]) -> list[str]:
    """Return the problems in the form of ollama_systemd_overrides."""
    wrong = [str(section) for section in overrides if section not in SECTIONS]
    for section, settings in overrides.items():
        if not hasattr(settings, "items"):
            wrong.append(str(section))
            continue
        wrong += [
            f"{section}.{setting}"
            for setting, value in _settings(settings)
            if not _SETTING.fullmatch(str(setting)) or value is None or not _is_line(value)
        ]
    if not wrong:
        return []
    return [
        f"ollama_systemd_overrides is wrong at {', '.join(dict.fromkeys(wrong))}. It must have the form {{Unit, "
        'Service or Install: {Setting: a line or a list of lines}}; "" sets a setting back.'
    ]


def limits_cpus(overrides: Mapping[str, Any]) -> list[str]:
    """Return the settings of ollama_systemd_overrides that limit the CPUs."""
    sections = [settings for settings in overrides.values() if hasattr(settings, "items")]
    return [name for name in CPU_LIMITS if any(name in settings for settings in sections)]


def _settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for setting, values in settings.items():
        for value in values if isinstance(values, list) else [values]:
            yield setting, value


def _is_line(value: Any) -> bool:
    return not hasattr(value, "items") and not isinstance(value, (list, tuple)) and not _CONTROL.search(str(value))
