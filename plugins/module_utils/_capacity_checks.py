# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host has what its models need: one check for each of memory, unused memory, CPUs, disk and port."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._capacity import Host
    from ansible_collections.etrid.gizzi.plugins.module_utils._demand import Demand
    from ansible_collections.etrid.gizzi.plugins.module_utils._memory import Limit
    from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store


@dataclass(frozen=True)
class Terms:
    """What belongs to the rest of the host, in bytes, the limit of Ollama's memory, and what else must be there."""

    reserved_memory: int
    reserved_disk: int
    limit: Limit
    min_cpus: int
    port: int


@dataclass(frozen=True)
class Check:
    """One comparison; required and available are None when they are not known, message is for people."""

    name: str
    ok: bool
    required: int | None
    available: int | str | None
    unit: str
    message: str


def survey(host: Host, store: Store, demand: Demand, terms: Terms) -> dict[str, Any]:
    """Measure the host, compare it with the demand, and return the result of module host_capacity."""
    total, available, cpus, free = host.memory_total(), host.memory_available(), host.cpus(), store.free_bytes()
    checks = [
        *check_memory(demand, total, available, terms),
        check_amount("cpus", terms.min_cpus, cpus, "cpus", "needed", "use a host with more, or raise the CPU quota"),
        check_amount(
            "disk",
            demand.disk + terms.reserved_disk,
            free,
            "bytes",
            f"needed under {store.path} (models to pull {human_bytes(demand.disk)}, "
            f"to stay free {human_bytes(terms.reserved_disk)})",
            "free some space, or keep the models on a larger disk",
            " ".join(demand.unknown_disk),
        ),
        check_port(host, terms.port),
    ]
    limit = None if total is None else terms.limit.of(total, terms.reserved_memory)
    return {
        "changed": False,
        "sufficient": all(check.ok for check in checks),
        "checks": [asdict(check) for check in checks],
        "memory": demand.memory and demand.memory.as_result(limit),
        "facts": {
            "memory_total": total,
            "memory_available": available,
            "cpus": cpus,
            "disk_free": free,
            "models_dir": str(store.existing_parent()),
            "partial_downloads": store.partial_downloads(),
        },
    }


def refusal(result: dict[str, Any], demand: Demand) -> str:
    """Say why a host is refused, by what survey() has returned: first why a need is unknown, such as a wrong name."""
    causes = list(dict.fromkeys((*demand.unknown_disk, *demand.unknown_memory)))
    # Where the need is unknown, the check says nothing of the host.
    short = [check for check in result["checks"] if not check["ok"] and (not causes or check["required"] is not None)]
    reasons = [f"What a model needs cannot be found out: {' '.join(causes)}"] if causes else []
    if short:
        told = " ".join(f"{check['name']}: {check['message']}" for check in short)
        reasons.append(f"This host is too small. {told}")
    return " ".join(reasons)


def check_memory(demand: Demand, total: int | None, available: int | None, terms: Terms) -> list[Check]:
    """Whether the largest model fits into what Ollama may take, and into what is unused now; in bytes."""
    memory, limit, reserved = demand.memory, terms.limit, terms.reserved_memory
    model, need = (memory.model, memory.required) if memory else ("no model", 0)
    needed, there, more = need + reserved, total, "use a host with more memory"
    purpose = f"of memory needed ({model} {human_bytes(need)}, rest of the host {human_bytes(reserved)})"
    if total is not None and limit.is_tighter(total, reserved):
        needed, there, more = need, limit.of(total, reserved), "raise ollama_memory_max"
        purpose = f"of memory needed for {model} under the limit {limit}"
    smaller = ["choose a smaller model", "set a smaller ollama_context_length"]
    smaller += ["set a smaller ollama_prompt_cache"] if memory and memory.prompt_cache else []
    unknown = " ".join(demand.unknown_memory) or ("see the disk." if demand.unknown_disk else "")
    fits = check_amount("memory_total", needed, there, "bytes", purpose, f"{', '.join(smaller)}, or {more}", unknown)
    details = [f"{memory.words()}."] if memory else []
    unused = check_amount(
        "memory_available",
        need,
        available,
        "bytes",
        f"of unused memory needed for {model}",
        ", or ".join(["stop what uses it", *smaller]),
        "see memory_total." if unknown else "",
    )
    return [replace(fits, message=" ".join([fits.message, *details, *demand.cut])), unused]


def check_amount(
    name: str, required: int, available: int | None, unit: str, purpose: str, remedy: str, unknown: str = ""
) -> Check:
    """Whether there is as much as is required; unknown says why the need is not known."""

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
    """Whether the TCP port is free, or Ollama's."""
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
