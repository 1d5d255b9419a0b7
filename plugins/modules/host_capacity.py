# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_capacity
short_description: Verify that a host can carry Ollama and its models
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Compares the memory, CPUs, disk and port of the managed host with what the named models need, before anything
    is installed.
  - The figures of C(llama3.1:8b), C(phi3:mini), C(mistral) and C(llama3.1:70b) are built in. The size of any other
    model is taken from the store, or from its manifest at O(registry), and its memory is estimated as 1.2 times
    that size and half a gigabyte.
  - Memory is judged by the largest model alone, since Ollama unloads one model for another.
  - Limits of the cgroup in which the task runs, and of all above it, apply to memory and CPUs. Both cgroup versions
    are understood.
  - A fact that cannot be read is a failed check.
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
options:
  models:
    description: The models that the host should serve, as C([[host/]namespace/]model[:tag]).
    type: list
    elements: str
    default: []
  models_dir:
    description:
      - Ollama's model store. Where it does not exist yet, its nearest existing parent is measured.
      - Models that are there already need no more disk.
    type: path
    default: /var/lib/ollama/models
  port:
    description: The TCP port that must be free, or held by Ollama.
    type: int
    default: 11434
  reserved_memory:
    description: Bytes of memory that belong to the rest of the host.
    type: int
    default: 4000000000
  memory_max:
    description:
      - The most memory that Ollama may take, as C(MemoryMax) of systemd is written, for instance V(12G) (counted in
        1024s), V(50%) of the host's memory, or a number of bytes.
      - Empty takes all of the host's memory but O(reserved_memory).
    type: str
    default: ""
  context_length:
    description:
      - The tokens that a model is given as its context.
      - Ollama cuts in silence what is more than a model was trained for. That is a warning here, and the smaller
        number counts.
    type: int
    default: 4096
  prompt_cache:
    description:
      - Bytes that Ollama may take to keep the state of earlier prompts, rounded down to whole MiB.
      - Before Ollama 0.30 there is no such cache, and it counts nothing.
    type: int
    default: 0
  version:
    description: The release of Ollama that will run. Empty stands for a current one.
    type: str
    default: ""
  reserved_disk:
    description: Bytes that must stay free on the disk of O(models_dir).
    type: int
    default: 10000000000
  min_cpus:
    description: The CPUs that must be usable.
    type: int
    default: 2
  registry:
    description: Base URL of the registry that is asked for the size of a model which is neither known nor stored.
    type: str
    default: https://registry.ollama.ai
  fail_on:
    description: With V(never) a host that does not suffice is reported and the task succeeds.
    type: str
    choices:
      - insufficient
      - never
    default: insufficient
notes:
  - The holder of a port can be identified only by root, or by the user who runs it.
seealso:
  - module: etrid.gizzi.ollama_health
"""

EXAMPLES = r"""
- name: Refuse a host that is too small
  etrid.gizzi.host_capacity:
    models:
      - llama3.1:8b
      - phi3:mini

- name: See how much is missing for the large model
  etrid.gizzi.host_capacity:
    models:
      - llama3.1:70b
    fail_on: never
  register: capacity
"""

RETURN = r"""
sufficient:
  description: Whether all checks passed.
  returned: always
  type: bool
checks:
  description: Every check.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: V(memory_total), V(memory_available), V(cpus), V(disk) or V(port).
      type: str
    ok:
      description: Whether the host suffices.
      type: bool
    required:
      description: What is needed, V(null) when that is not known. The number of the port for V(port).
      type: int
    available:
      description: What there is, V(null) when that is not known. The holder of the port, if any, for V(port).
      type: raw
    unit:
      description: V(bytes), V(cpus) or V(port).
      type: str
    message:
      description: Both figures for people, and the remedy when the check failed.
      type: str
facts:
  description: What was measured.
  returned: always
  type: dict
  contains:
    memory_total:
      description: Bytes of memory, or of the cgroup limit. V(null) when unknown.
      type: int
    memory_available:
      description:
        - Bytes that a new process could use, with what a running Ollama holds. V(null) when unknown.
      type: int
    cpus:
      description: CPUs that may be used.
      type: int
    disk_free:
      description: Bytes that a service can still write. V(null) when unknown.
      type: int
    models_dir:
      description: The directory that was measured.
      type: str
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._capacity import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import DEFAULT_HOST, parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import DEFAULT_REGISTRY, Registry, registry_at
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

GB = 1_000_000_000
REGISTRY_TIMEOUT = 10


@dataclass(frozen=True)
class Needs:
    disk: int
    memory: int


CATALOGUE = {
    "llama3.1:8b": Needs(disk=4_700_000_000, memory=8 * GB),
    "phi3:mini": Needs(disk=2_200_000_000, memory=4 * GB),
    "mistral:latest": Needs(disk=4_100_000_000, memory=8 * GB),
    "llama3.1:70b": Needs(disk=40 * GB, memory=64 * GB),
}


@dataclass(frozen=True)
class Demand:
    """What all models need together, or why that is not known."""

    disk: int
    memory: int
    largest: str
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    name: str
    ok: bool
    required: int | None
    available: int | str | None
    unit: str
    message: str


def needs_of(name: ModelName, store: Store, registry: Registry) -> Needs:
    """Figures of one model. Disk is what is still to be written."""
    known = CATALOGUE.get(str(name).lower())
    stored = store.manifest(name)
    if stored:
        return Needs(0, known.memory if known else estimated_memory(stored.size))
    if known:
        return known
    source = registry if name.host.lower() == DEFAULT_HOST else Registry(f"https://{name.host}")
    manifest = source.manifest(name, REGISTRY_TIMEOUT)
    return Needs(store.missing_bytes(manifest), estimated_memory(manifest.size))


def estimated_memory(size: int) -> int:
    """The weights, a fifth of them for context and buffers, and the runner itself."""
    return size * 6 // 5 + GB // 2


def demand_of(names: list[ModelName], store: Store, registry: Registry) -> Demand:
    disk, memory, largest = 0, 0, ""
    unknown = []
    for name in {name.full.lower(): name for name in names}.values():
        try:
            needs = needs_of(name, store, registry)
        except GizziError as error:
            unknown.append(str(error))
            continue
        disk += needs.disk
        if needs.memory > memory:
            memory, largest = needs.memory, str(name)
    return Demand(disk, memory, largest, tuple(unknown))


def check_amount(
    name: str, required: int, available: int | None, unit: str, purpose: str, remedy: str, unknown: str = ""
) -> Check:
    def human(amount: int) -> str:
        return human_bytes(amount) if unit == "bytes" else f"{amount} {unit}"

    if available is None:
        return Check(name, False, required, None, unit, f"What the host has is unknown; {human(required)} {purpose}.")
    if unknown:
        return Check(name, False, None, available, unit, f"{human(available)} there, the need is unknown: {unknown}")
    figures = f"{human(required)} {purpose}, {human(available)} there"
    ok = available >= required
    return Check(name, ok, required, available, unit, f"{figures}." if ok else f"{figures}: {remedy}.")


def check_port(host: Host, port: int) -> Check:
    try:
        holder = host.listener(port)
    except (OSError, ValueError, IndexError) as error:
        return Check("port", False, port, None, "port", f"Whether port {port} is free is unknown: {error}.")
    if holder is None:
        return Check("port", True, port, None, "port", f"Port {port} is free.")
    if holder.is_ollama:
        return Check("port", True, port, str(holder), "port", f"Port {port} is held by {holder}.")
    remedy = "stop it, or choose another port" if holder.pid else "run as root to see who it is"
    return Check("port", False, port, str(holder), "port", f"Port {port} is held by {holder}: {remedy}.")


def survey(
    host: Host, store: Store, demand: Demand, port: int, min_cpus: int, reserved_memory: int, reserved_disk: int
) -> tuple[list[Check], dict[str, int | str | None]]:
    facts: dict[str, int | str | None] = {"models_dir": str(store.existing_parent())}
    total = facts["memory_total"] = host.memory_total()
    available = facts["memory_available"] = host.memory_available()
    cpus = facts["cpus"] = host.cpus()
    free = facts["disk_free"] = store.free_bytes()
    model = demand.largest or "no model"
    unsized = "see the disk." if demand.unknown else ""
    checks = [
        check_amount(
            "memory_total",
            demand.memory + reserved_memory,
            total,
            "bytes",
            f"of memory needed ({model} {human_bytes(demand.memory)}, rest of the host {human_bytes(reserved_memory)})",
            "choose a smaller model, such as phi3:mini, or a host with more memory",
            unsized,
        ),
        check_amount(
            "memory_available",
            demand.memory,
            available,
            "bytes",
            f"of unused memory needed for {model}",
            "stop what uses it, or choose a smaller model",
            unsized,
        ),
        check_amount("cpus", min_cpus, cpus, "cpus", "needed", "use a host with more, or raise the CPU quota"),
        check_amount(
            "disk",
            demand.disk + reserved_disk,
            free,
            "bytes",
            f"needed under {store.path} (models to pull {human_bytes(demand.disk)}, "
            f"to stay free {human_bytes(reserved_disk)})",
            "free some space, or keep the models on a larger disk",
            " ".join(demand.unknown),
        ),
        check_port(host, port),
    ]
    return checks, facts


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "models": {"type": "list", "elements": "str", "default": []},
            "models_dir": {"type": "path", "default": "/var/lib/ollama/models"},
            "port": {"type": "int", "default": 11434},
            "reserved_memory": {"type": "int", "default": 4_000_000_000},
            "memory_max": {"type": "str", "default": ""},
            "context_length": {"type": "int", "default": 4096},
            "prompt_cache": {"type": "int", "default": 0},
            "version": {"type": "str", "default": ""},
            "reserved_disk": {"type": "int", "default": 10_000_000_000},
            "min_cpus": {"type": "int", "default": 2},
            "registry": {"type": "str", "default": DEFAULT_REGISTRY},
            "fail_on": {"type": "str", "choices": ["insufficient", "never"], "default": "insufficient"},
        },
        supports_check_mode=True,
    )
    params = module.params
    store = Store(Path(params["models_dir"]))
    try:
        names = [parse_model_name(name) for name in params["models"]]
        demand = demand_of(names, store, registry_at(params["registry"]))
    except GizziError as error:
        module.fail_json(msg=str(error))
    checks, facts = survey(
        Host(),
        store,
        demand,
        params["port"],
        params["min_cpus"],
        params["reserved_memory"],
        params["reserved_disk"],
    )
    failed = [check for check in checks if not check.ok]
    result = {
        "changed": False,
        "sufficient": not failed,
        "checks": [asdict(check) for check in checks],
        "facts": facts,
    }
    if failed and params["fail_on"] == "insufficient":
        reasons = " ".join(f"{check.name}: {check.message}" for check in failed)
        module.fail_json(msg=f"This host does not suffice. {reasons}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
