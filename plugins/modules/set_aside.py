# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: set_aside
short_description: Keep files of an earlier installation under a second name before they are replaced
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Gives each file a second name beside it, with C(.before-gizzi) behind its own name. It is a hard link, so it needs
    no disk and the content cannot differ. Nothing is removed, and what uses a file goes on using it.
  - A file that has its second name already is left alone. If another file has that name, from an earlier time, the new
    one gets C(.before-gizzi-2), and so on.
extends_documentation_fragment:
  - etrid.gizzi.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  paths:
    description: Absolute paths of files. One that does not exist is passed over.
    type: list
    elements: path
    default: []
  programs:
    description:
      - As O(paths), for programs. Each path becomes a link to the second name, in one moment, so that a link to another
        program can replace it.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Keep the old unit and the old program
  etrid.gizzi.set_aside:
    paths: [/etc/systemd/system/ollama.service]
    programs: [/usr/local/bin/ollama]
"""

RETURN = r"""
paths:
  description: The second names that were made, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/systemd/system/ollama.service.before-gizzi, /usr/local/bin/ollama.before-gizzi]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._aside import keep_aside
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "default": []},
            "programs": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        kept = [keep_aside(path, False, module.check_mode) for path in module.params["paths"]]
        kept += [keep_aside(path, True, module.check_mode) for path in module.params["programs"]]
    except GizziError as error:
        module.fail_json(msg=str(error))
    names = [name for name in kept if name]
    module.exit_json(changed=bool(names), paths=names)


if __name__ == "__main__":
    main()
