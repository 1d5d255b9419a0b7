# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role ollama writes into the unit, its drop-in and its environment, by its values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2

from ansible_collections.etrid.gizzi.plugins.module_utils._settings.ollama import (
    METRICS_TIMER,
    ROOT,
    UNIT,
    derived,
    host_derived,
    problems,
)
from ansible_collections.etrid.gizzi.tests.unit.plugins.ollama_values import NO_EARLIER, ollama_values

HOST: dict[str, Any] = {
    "system": {"machine_id": "0123"},
    "releases": {ROOT: {"current": "", "finished": []}},
    "units": {UNIT: {"active": "inactive"}, METRICS_TIMER: {"active": "inactive"}},
    "ollama_environment": {"server": {}, "unset": ["LLAMA_API_KEY", "OLLAMA_DEBUG"], "foreign": []},
    "guards": {},
    "takeover": {"ollama": NO_EARLIER},
    "capacity": {"facts": {"memory_total": 16 * 10**9}},
}
TEMPLATES = Path(__file__).parents[3] / "roles/ollama/templates"


def lines(template: str, **changed: Any) -> list[str]:
    """Return the lines of a template under the defaults and these values."""
    values = ollama_values(**changed)
    assert problems(values) == []
    # As Ansible renders: ansible.template.
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(
        loader=loader, trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    text = environment.get_template(template).render(
        __ollama=values | derived(values) | host_derived(values, HOST),
    )
    assert text.endswith("\n")
    return text.splitlines()


def test_context_cache_threads_and_memory() -> None:
    dropin = lines("override.conf.j2", context_length=8192, prompt_cache=2**22, cpu_threads=2)
    assert {
        'Environment="OLLAMA_HOST=127.0.0.1:11434"',
        'Environment="OLLAMA_MODELS=/var/lib/ollama/models"',
        'Environment="OLLAMA_CONTEXT_LENGTH=8192"',
        'Environment="LLAMA_ARG_CACHE_RAM=4"',
        'Environment="LLAMA_ARG_THREADS=2"',
        "UnsetEnvironment=LLAMA_API_KEY OLLAMA_DEBUG",
        "CPUQuota=200%",
        "MemoryMax=12000000000",
    } <= set(dropin)


def test_no_quota_without_threads_and_a_limit_of_ones_own() -> None:
    dropin = lines("override.conf.j2", memory_max="50%", cpu_weight=20, io_weight=30)
    assert not [line for line in dropin if line.startswith("CPUQuota=")]
    assert {"MemoryMax=50%", "CPUWeight=20", "IOWeight=30"} <= set(dropin)


def test_text_of_the_command_line_is_a_number() -> None:
    dropin = lines("override.conf.j2", cpu_threads="2", reserved_memory="1000000000", prompt_cache="2097152")
    assert {"CPUQuota=200%", "MemoryMax=15000000000", 'Environment="LLAMA_ARG_CACHE_RAM=2"'} <= set(dropin)


def test_overrides_come_last() -> None:
    overrides = {"Service": {"Environment": ["", "A=1"], "MemoryDenyWriteExecute": False}, "Unit": {"After": "x"}}
    dropin = lines("override.conf.j2", systemd_overrides=overrides)
    assert dropin[-7:] == [
        "[Service]",
        "Environment=",
        "Environment=A=1",
        "MemoryDenyWriteExecute=False",
        "",
        "[Unit]",
        "After=x",
    ]


def test_environment_file() -> None:
    assert lines("environment.j2", environment={"A": 'x"y', "OLLAMA_NO_CLOUD": "0"})[1:] == [
        'OLLAMA_NO_CLOUD="0"',
        'OLLAMA_MAX_LOADED_MODELS="1"',
        'OLLAMA_NUM_PARALLEL="1"',
        'A="x\\"y"',
    ]


def test_the_store_can_be_written_to_wherever_it_is() -> None:
    """A store in the home is not named: its name may be a link of the user ollama's."""
    assert "ReadWritePaths=/var/lib/ollama" in lines("ollama.service.j2")
    assert "ReadWritePaths=/var/lib/ollama /srv/models/x" in lines("ollama.service.j2", models_dir="/srv/models/x")


def test_a_stop_waits_for_the_answers_of_its_own_port() -> None:
    unit = "\n".join(lines("ollama.service.j2", listen="[::]:11435"))
    (pattern,) = re.findall(r'grep -Eqs "([^"]+)" /proc/net/tcp /proc/net/tcp6', unit)
    asked = "   1: 0100007F:2CAB 0100007F:D431 01 00000000:00000000 00:00000000 00000000   998        0 1 1"
    others = (
        asked.replace(":2CAB", ":2CAA"),
        asked.replace(" 01 ", " 0A "),
        asked.replace("2CAB 0100007F:D431", "D431 0100007F:2CAB"),
    )
    assert [bool(re.search(pattern, line)) for line in (asked, *others)] == [True, False, False, False]


def test_metrics_of_all_wanted_models() -> None:
    models = [{"name": "phi3"}, {"name": "own", "from": "phi3"}, {"name": "gone", "state": "absent"}]
    unit = lines("ollama-metrics.service.j2", models=models, listen="[fd42::1]:11434")
    assert any(line.endswith(" --folder=/var/lib/ollama-metrics phi3:latest own:latest") for line in unit)
    assert "IPAddressAllow=fd42::1" in unit
