# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_capacity
short_description: Check that a host has enough memory, CPUs and disk for Ollama and its models
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Compares the memory, CPUs, disk and port of the managed host with what the named models need, before anything
    is installed.
  - What must fit into memory is the sum of a model's weights, its context, the prompt cache, one saved prompt of a
    full context (since Ollama 0.30 the runner keeps one, whatever the limit of its cache), and half a gigabyte for
    the runner itself. It must not be more than what Ollama may take, O(memory_max), nor than the host's memory
    without O(reserved_memory).
  - Memory is judged by the largest model alone, since Ollama unloads one model for another.
  - What a token of context takes is read from the header of the weights, in the store or at O(registry), which is
    asked for their first megabyte. The figures of C(llama3.1:8b), C(phi3:mini), C(mistral) and C(llama3.1:70b) are
    built in, with the least memory that they need by experience.
  - A name with the tag C(local), C(cloud) or C(…-cloud) is refused. Ollama can store such a model, but never answers
    with it.
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
      - The most memory that Ollama may use, written as C(MemoryMax) of systemd, for instance V(12G) (counted in 1024s),
        V(50%) of the host's memory, or a number of bytes.
      - Empty takes all of the host's memory but O(reserved_memory).
    type: str
    default: ""
  context_length:
    description:
      - The tokens that a model is given as its context.
      - When it is more than a model was trained for, Ollama uses less and does not say so. That is a warning here, and
        the smaller number counts.
    type: int
    default: 4096
  prompt_cache:
    description:
      - Bytes that Ollama may take to keep the state of earlier prompts, rounded down to whole MiB.
      - Before Ollama 0.30 there is no such cache, and this is not counted.
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
    description: Base URL of the registry that is asked about a model which is neither built in nor stored.
    type: str
    default: https://registry.ollama.ai
  offered:
    description:
      - What the registry names, as RV(etrid.gizzi.ollama_registry_info#module:models) with
        O(etrid.gizzi.ollama_registry_info#module:headers), asked beforehand for many hosts.
      - The registry is not asked about a model in it. Where it has an error for a model, what that model needs is
        unknown.
    type: dict
    default: {}
  old_store:
    description:
      - Another store on the host, from which M(etrid.gizzi.ollama_store_import) brings models without a download. A
        model in it needs no disk, or on another filesystem that of a copy.
    type: path
    default: ""
  fail_on:
    description: With V(never) a host that is not enough is reported and the task succeeds.
    type: str
    choices:
      - insufficient
      - never
    default: insufficient
notes:
  - A model that brings a C(num_ctx) of its own, or a request that asks for one, takes what that context needs instead
    of O(context_length). Give the largest one here.
  - The holder of a port can be identified only by root, or by the user who runs it.
seealso:
  - module: etrid.gizzi.ollama_health
  - module: etrid.gizzi.ollama_registry_info
"""

EXAMPLES = r"""
- name: Refuse a host that is too small
  etrid.gizzi.host_capacity:
    models:
      - llama3.1:8b
      - phi3:mini

- name: See what fits under a limit, with a longer context and a prompt cache of 2 GiB
  etrid.gizzi.host_capacity:
    models:
      - llama3.1:8b
    memory_max: 12G
    context_length: 8192
    prompt_cache: 2147483648

- name: Ask the registry once, from the control host
  etrid.gizzi.ollama_registry_info:
    models:
      - smollm2:135m
    headers: true
  delegate_to: localhost
  run_once: true
  register: registry

- name: Judge each host by that
  etrid.gizzi.host_capacity:
    models:
      - smollm2:135m
    offered: "{{ registry.models }}"

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
      description: Whether the host has enough.
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
        - Bytes that a new process could use, together with what a running Ollama uses. V(null) when unknown.
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
    partial_downloads:
      description: How many parts of unfinished downloads the store has. V(null) when it cannot be read.
      type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._capacity_checks import refusal
from ansible_collections.etrid.gizzi.plugins.module_utils._capacity_look import ARGUMENTS, look
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError


def main() -> None:
    fail_on = {"type": "str", "choices": ["insufficient", "never"], "default": "insufficient"}
    module = AnsibleModule(argument_spec={**ARGUMENTS, "fail_on": fail_on}, supports_check_mode=True)
    try:
        result, demand = look(module.params)
    except GizziError as error:
        module.fail_json(msg=str(error))
    for warning in demand.cut:
        module.warn(warning)
    if not result["sufficient"] and module.params["fail_on"] == "insufficient":
        module.fail_json(msg=refusal(result, demand), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
