# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: python_release
short_description: Install a Python program beside its earlier releases
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Makes a virtual environment with pinned and hashed dependencies, and the program in it, in a folder whose name has a
    checksum of all this. Nothing is switched or restarted. For a release that is there, nothing else is done.
  - Only wheels with the versions and hashes in C(requirements.txt) are installed.
  - A half-built release is built again. A release that cannot be built is removed.
  - If the distribution's Python cannot make virtual environments, apt installs the package for it, such as
    C(python3.11-venv).
extends_documentation_fragment:
  - etrid.gizzi.attributes
attributes:
  check_mode:
    support: full
    details:
      - Says whether the release would be built. It does not try whether that works.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  label:
    description: The program's name in messages.
    type: str
    required: true
  prefix:
    description: Prefix of the variables from which O(python) and O(wheelhouse) come, for messages.
    type: str
    required: true
  root:
    description: Folder of the releases on the host.
    type: path
    required: true
  source:
    description: >-
      Folder on the control host with C(requirements.txt) and its hashes, and C(pyproject.toml), C(README.md) and C(src)
      of the program.
    type: str
    required: true
  version:
    description: >-
      Version of a release that has no program of its own, but only what C(requirements.txt) names. Without it the
      version is that of C(pyproject.toml).
    type: str
    default: ""
  beside:
    description: What else of the control host is copied into the release.
    type: list
    elements: dict
    default: []
    suboptions:
      source:
        description: Folder on the control host.
        type: str
        required: true
      dest:
        description: Where it is in the release.
        type: str
        required: true
      parts:
        description: The files and folders in it. One that is missing is left out. Without it, all.
        type: list
        elements: str
  python:
    description: The Python to run it with on the host, 3.11 or newer.
    type: path
    default: /usr/bin/python3
  wheelhouse:
    description: >-
      Folder on the control host that has the wheels of C(requirements.txt), for hosts without a package index. Empty
      takes them from the index that the host's own pip is configured for.
    type: str
    default: ""
  content:
    description: For the action alone, what decides the release's content, as one sha256.
    type: str
  program:
    description: For the action alone, whether the release has a program of its own.
    type: bool
    default: true
  archive:
    description: For the action alone, the archive on the host to build it from. Without it the module looks.
    type: path
  checksum:
    description: For the action alone, the sha256 of O(archive).
    type: str
seealso:
  - module: etrid.gizzi.files
"""

EXAMPLES = r"""
- name: Install the wanted release of the API
  etrid.gizzi.python_release:
    label: Gizzi API
    prefix: gizzi_api
    root: /opt/gizzi-api
    source: "{{ role_path }}/files/gizzi-api"
  register: release
"""

RETURN = r"""
release:
  description: The release's name, VERSION-HASH.
  returned: success
  type: str
  sample: 1.0.0-0123456789ab
path:
  description: Its folder.
  returned: success
  type: str
site_packages:
  description: The folder of its Python packages.
  returned: success
  type: str
missing_package:
  description: The distribution's package that is missing to build it, empty when none is.
  returned: success
  type: str
"""

from functools import partial
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils import _programs
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._python_release import (
    Wanted,
    build,
    look_at_python,
    result_of,
)

REMEDY = "See what it waits for on the host (its package index, the disk, the load), solve that, and run this again."


def bring(module: AnsibleModule) -> dict[str, object]:
    """Look for the release, or build it where there is an archive; return what the module returns."""
    asked = module.params
    wanted = Wanted(
        label=asked["label"],
        prefix=asked["prefix"],
        root=Path(asked["root"]),
        python=asked["python"],
        version=asked["version"],
        content=asked["content"] or "",
        program=asked["program"],
        wheels=bool(asked["wheelhouse"]),
    )
    run = partial(_programs.run, remedy=REMEDY)
    result = result_of(wanted, look_at_python(wanted, run))
    if result["changed"] and asked["archive"] and not module.check_mode:
        build(wanted, Path(result["path"]), Path(asked["archive"]), asked["checksum"], run)
    return result


def main() -> None:
    beside = {
        "source": {"type": "str", "required": True},
        "dest": {"type": "str", "required": True},
        "parts": {"type": "list", "elements": "str"},
    }
    module = AnsibleModule(
        argument_spec={
            **{name: {"type": "str", "required": True} for name in ("label", "prefix", "source")},
            **{name: {"type": "str"} for name in ("content", "checksum")},
            **{name: {"type": "str", "default": ""} for name in ("version", "wheelhouse")},
            "root": {"type": "path", "required": True},
            "beside": {"type": "list", "elements": "dict", "options": beside, "default": []},
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "program": {"type": "bool", "default": True},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**bring(module))
    except GizziError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
