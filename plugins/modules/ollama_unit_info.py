# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_unit_info
short_description: Tell what the environment of Ollama's unit holds that role ollama has not put there
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Ollama hands its whole environment to the C(llama-server) that computes. C(LLAMA_API_KEY), or an empty variable
    C(LLAMA_ARG_…), from elsewhere breaks every answer there, while the server answers and models load.
  - Looks at the service manager's environment, at drop-ins of others, and at the environment of the process that runs.
    Names variables and files, and never a value.
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
options:
  environment:
    description:
      - The names that role C(etrid.gizzi.ollama) is about to set in the unit. Without it, those that its files set.
    type: list
    elements: str
  overrides:
    description: The settings of section C(Service) that the role is about to write, of which some may set variables.
    type: dict
    default: {}
  fail_on:
    description: With V(problems) a drop-in of others that changes what the role sets makes the task fail.
    type: str
    choices:
      - problems
      - never
    default: never
notes:
  - Needs root, as other users may not see the environment of the process.
seealso:
  - module: etrid.gizzi.ollama_answers
"""

EXAMPLES = r"""
- name: Is there anything in the server's environment that nobody put there on purpose?
  etrid.gizzi.ollama_unit_info:
  register: unit
  failed_when: unit is failed or unit.unseen or unit.unexpected or unit.problems
"""

RETURN = r"""
foreign:
  description:
    - The variables of Ollama and llama-server that the service manager or a drop-in of others holds and the role does
      not set itself.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The variable.
      type: str
    source:
      description: What sets it, a file or the service manager.
      type: str
unset:
  description: What the unit has to unset, C(LLAMA_API_KEY) and what RV(foreign) names, and never what the role sets.
  returned: success
  type: list
  elements: str
  sample:
    - LLAMA_API_KEY
problems:
  description: Where a drop-in of others changes what the role sets, each with the remedy.
  returned: success
  type: list
  elements: str
unexpected:
  description:
    - The variables of Ollama and llama-server in the environment of the process that the role's files do not set.
    - V(null) when the process cannot be looked at.
  returned: success
  type: list
  elements: str
secrets:
  description:
    - The variables C(*_PROXY) of the process whose address holds a password. Ollama writes that into the journal when
      it starts.
    - V(null) when the process cannot be looked at.
  returned: success
  type: list
  elements: str
unseen:
  description: Why the process cannot be looked at, empty when it can.
  returned: success
  type: str
server:
  description:
    - Where the server that the role has configured is. Where it has configured none, what Ollama has by default.
  returned: success
  type: dict
  contains:
    host:
      description: Where it listens, an IPv6 address in brackets.
      type: str
    url:
      description: Its address, as its own host reaches it.
      type: str
    port:
      description: Its port.
      type: int
    on_loopback:
      description: Whether only its own host reaches it.
      type: bool
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._unit import (
    API_KEY,
    UNIT,
    Host,
    changes_answers,
    conflicts,
    foreign_variables,
    holds_password,
    names_set_by,
    shown_names,
)

ROOT = Path("/")


def systemctl(module: AnsibleModule, *arguments: str) -> str:
    """Return what systemctl prints; GizziError when it fails."""
    code, out, error = module.run_command(["systemctl", *arguments])
    if code != 0:
        raise GizziError(f"systemctl {' '.join(arguments)} failed: {error.strip() or out.strip()}")
    return str(out)


def read_environ(process: str) -> dict[str, str]:
    """Return the environment of a process by its number ("0" when none runs); GizziError when it cannot be seen."""
    if process in ("", "0"):
        raise GizziError("The server does not run.")
    try:
        text = (ROOT / "proc" / process / "environ").read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise GizziError(f"The environment of process {process} cannot be read: {error}.") from error
    return {name: value for name, found, value in (item.partition("=") for item in text.split("\0")) if found}


def look_at_process(process: str, own: set[str]) -> dict[str, object]:
    """Return unexpected, secrets and unseen, as RETURN describes them; own are the names that the role's files set."""
    try:
        environ = read_environ(process)
    except GizziError as error:
        return {"unexpected": None, "secrets": None, "unseen": str(error)}
    secrets = [name for name, value in environ.items() if name.upper().endswith("_PROXY") and holds_password(value)]
    unexpected = [name for name in environ if changes_answers(name) and name not in own]
    return {"unexpected": sorted(unexpected), "secrets": sorted(secrets), "unseen": ""}


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return everything that RETURN describes."""
    host = Host(ROOT)
    in_files = host.own_names()
    environment = module.params["environment"]
    own = in_files if environment is None else names_set_by(host, environment, module.params["overrides"])
    shown = systemctl(module, "show", "--property=MainPID", "--property=DropInPaths", UNIT)
    properties = dict(line.partition("=")[::2] for line in shown.splitlines())
    settings = host.foreign_settings(properties.get("DropInPaths", "").split())
    manager = shown_names(systemctl(module, "show-environment"))
    foreign = foreign_variables(host, settings, manager, own)
    return {
        "foreign": [asdict(variable) for variable in foreign],
        "unset": sorted({API_KEY, *(variable.name for variable in foreign)} - own),
        "problems": conflicts(host, settings, own),
        "server": asdict(host.listen()),
        **look_at_process(properties.get("MainPID", ""), in_files),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "environment": {"type": "list", "elements": "str"},
            "overrides": {"type": "dict", "default": {}},
            "fail_on": {"type": "str", "choices": ["problems", "never"], "default": "never"},
        },
        supports_check_mode=True,
    )
    try:
        result = look(module)
    except (GizziError, OSError) as error:
        module.fail_json(msg=f"The environment of {UNIT} cannot be looked at: {error}")
    problems = result["problems"]
    if problems and module.params["fail_on"] == "problems":
        module.fail_json(msg=" ".join(problems), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
