# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Install or remove all files of a role as one list, or put back the earlier ones
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Installs the whole list O(files) on the host in one call, or removes it.
  - Each file is replaced in one moment, with its owner and mode. Nothing is replaced when a value is wrong, an owner is
    missing, something else is at one of the paths, or a program refuses its new file.
  - What is replaced is kept in C(/var/lib/gizzi-undo), for root alone, until O(state=settled) confirms the change or
    O(state=restored) undoes it. A run that finds the copies of an interrupted run keeps these older copies and reports
    a change, so that a task that restarts a service after a change does so.
  - Which files and links the list has brought is noted in C(/var/lib/gizzi-files). Those that a later list does not
    have, or has elsewhere, are removed. Folders stay, and entries with O(files[].keep) or O(files[].initial).
  - Users come from entries below C(/etc/sysusers.d), by C(systemd-sysusers). A group has the members that its file
    names in C(m) lines, and no others.
  - systemd reads its units again when an entry below C(/etc/systemd) has changed. No service is started, stopped
    or restarted.
  - Root follows no link in a folder that somebody else can write, and fails with the path.
extends_documentation_fragment:
  - etrid.gizzi.attributes
attributes:
  check_mode:
    support: full
    details:
      - Also predicts the change when a user of the list does not exist yet. The commands of O(files[].validate) do not
        run.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Whose list this is, of letters, digits, C(-) and C(_).
    type: str
    required: true
  state:
    description:
      - V(present) installs the list, V(absent) removes it in reverse order, folders last, with the users that it
        created.
      - V(restored) puts back what the last V(present) has replaced. Users that it created stay, because they may own
        files. Their file below C(/etc/sysusers.d) stays too, because V(absent) finds them by it.
      - V(settled) deletes the copies, and removes old releases, see O(files[].releases).
      - All copies of what V(present) replaces are kept, but those of a folder that is removed as a O(files[].tree).
    type: str
    choices: [present, absent, restored, settled]
    default: present
  note:
    description:
      - What the caller needs to undo a change, for instance which port was guarded.
      - It is kept with the copies. After an interrupted change, the older note is kept and returned.
    type: dict
    default: {}
  secrets:
    description: For the action alone, which fills it with the content of the entries that are O(files[].secret).
    type: dict
    default: {}
  files:
    description: The list. A folder comes before what is in it.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path on the host.
        type: str
        required: true
      kind:
        description: What is to be there.
        type: str
        choices: [file, folder, link]
        default: file
      template:
        description: Template of the role, for the content. C(ansible_managed) is one fixed line in it.
        type: str
      vars:
        description: Further variables for O(files[].template).
        type: dict
      source:
        description: File of the role, for the content as it is.
        type: str
      content:
        description: The content itself, UTF-8.
        type: str
      target:
        description: Where a link leads.
        type: str
      owner:
        description: The owner.
        type: str
        default: root
      group:
        description: The group.
        type: str
        default: root
      mode:
        description: Permissions in octal. Empty means V(0644) for a file and V(0755) for a folder.
        type: str
      validate:
        description:
          - Command and arguments that judge a new file. C(%s) stands for its path, in a folder of root's.
          - Of a folder they judge a copy with all that the list wants in it, when something in it changes.
          - All are judged before the first one is replaced.
        type: list
        elements: str
      secret:
        description: Whether the content is shown in no diff, log or result.
        type: bool
        default: false
      when:
        description: Whether it is wanted. If not, O(state=present) removes it.
        type: bool
        default: true
      keep:
        description: >-
          Whether it stays with O(state=absent). A folder that stays and belongs to a user that goes is given to root,
          with all that is in it.
        type: bool
        default: false
      tree:
        description:
          - Whether all that is in a folder is ours. It is removed with its content, but for entries with
            O(files[].keep), and its owner owns all of it. Other folders are removed when they are empty.
          - A file in it that has a second name elsewhere and belongs to somebody else is refused.
        type: bool
        default: false
      trace:
        description: >-
          Whether the service makes this, and not the list. O(state=present) does not touch it, O(state=absent) removes
          it.
        type: bool
        default: false
      releases:
        description: >-
          Whether a link leads to the release in use, and the folder that holds it has the others. O(state=settled) then
          keeps the release in use and the one before it.
        type: bool
        default: false
      initial:
        description: Whether a file only comes where there is none. What the service has made of it stays.
        type: bool
        default: false
      stale:
        description: >-
          Patterns of names in a folder which are of this list alone. What is there and not in the list is removed,
          folders only where this one is a O(files[].tree). With this option, even if it is empty, nothing else is
          removed from the folder.
        type: list
        elements: str
seealso:
  - module: etrid.gizzi.python_release
"""

EXAMPLES = r"""
- name: Bring the API's files
  etrid.gizzi.files:
    name: gizzi-api
    files:
      - {path: /etc/sysusers.d/gizzi-api.conf, content: "u gizzi-api - \"Gizzi API\"\n"}
      - {path: /etc/gizzi, kind: folder}
      - path: /etc/gizzi/api.toml
        template: api.toml.j2
        group: gizzi-api
        mode: "0640"
        validate: [/opt/gizzi-api/current/bin/gizzi-api, --check, "%s"]
      - {path: /etc/gizzi/api.token, content: "{{ token }}\n", owner: gizzi-api, mode: "0600", secret: true}
  register: files

- name: It answers
  etrid.gizzi.files:
    name: gizzi-api
    state: settled
"""

RETURN = r"""
paths:
  description: What has changed, or would.
  returned: success
  type: list
  elements: str
links:
  description: >-
    Where the links of the list led before the change, also before an interrupted one, and with O(state=restored) where
    they lead now. Empty where there is none, or it leads nowhere.
  returned: success
  type: dict
  sample: {/opt/gizzi-api/current: /opt/gizzi-api/1.0.0-0123456789ab}
note:
  description: The note that is kept with the copies, or the one that was given.
  returned: success
  type: dict
resumed:
  description: Whether an interrupted change was found, which was not settled yet.
  returned: success
  type: bool
"""

import grp
import pwd
from functools import partial

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils import _programs
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._files import _state
from ansible_collections.etrid.gizzi.plugins.module_utils._files._entry import check_name, entries_of
from ansible_collections.etrid.gizzi.plugins.module_utils._files._plan import diff_of

ENTRY = {
    "path": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": ["file", "folder", "link"], "default": "file"},
    "template": {"type": "str"},
    "vars": {"type": "dict"},
    "source": {"type": "str"},
    "content": {"type": "str"},
    "target": {"type": "str"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str"},
    "validate": {"type": "list", "elements": "str"},
    "secret": {"type": "bool", "default": False, "no_log": False},
    "when": {"type": "bool", "default": True},
    "keep": {"type": "bool", "default": False},
    "tree": {"type": "bool", "default": False},
    "trace": {"type": "bool", "default": False},
    "releases": {"type": "bool", "default": False},
    "initial": {"type": "bool", "default": False},
    "stale": {"type": "list", "elements": "str"},
}
# Seconds that a program may take: one that checks a file, or makes or removes users, or systemctl.
PATIENCE = 120.0
REMEDY = "See what it waits for ('ps -ef', 'systemctl list-jobs'), solve that, and run this again."
STATES = {
    "present": _state.present,
    "absent": _state.absent,
    "restored": _state.restored,
    "settled": _state.settled,
}


def bring(module: AnsibleModule) -> dict[str, object]:
    """Do what the arguments say, and return what the module returns."""
    asked = module.params
    check_name(asked["name"])
    entries = entries_of(asked["files"], asked["secrets"], asked["state"] == "present")
    run = partial(_programs.run, seconds=PATIENCE, remedy=REMEDY)
    request = _state.Request(asked["name"], entries, run, asked["note"], module.check_mode)
    done = STATES[asked["state"]](request)
    result = {
        "changed": done.changed,
        "paths": done.paths,
        "links": done.links,
        "note": done.note,
        "resumed": done.resumed,
        # Without the files: they are long, and some are secrets.
        "invocation": {"module_args": {"name": asked["name"], "state": asked["state"]}},
    }
    return {**result, "diff": [diff_of(step, user_of, group_of) for step in done.steps]} if module._diff else result


def user_of(number: int) -> str:
    """Return a user's name, the number where there is none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def group_of(number: int) -> str:
    """Return a group's name, the number where there is none."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": [*STATES], "default": "present"},
            "files": {"type": "list", "elements": "dict", "options": ENTRY, "default": []},
            "note": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
        # The log of the host would have the content of each file.
        no_log=True,
    )
    try:
        result = bring(module)
    except GizziError as error:
        module.fail_json(msg=str(error), invocation={"module_args": {"name": module.params["name"]}})
    module.exit_json(**result)


if __name__ == "__main__":
    main()
