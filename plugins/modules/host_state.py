# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_state
short_description: Read in one call what is installed and running on a host
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Each option names what to look at, and the result has a section of the same name. Without options there is only
    section RV(system).
  - For a thing that could not be read there is a dictionary with the only key C(unseen), the reason. A thing that does
    not exist is V(null), V([]) or has C(load) V(not-found), as the section says.
  - Answers of the host are cut at sizes that no normal answer reaches.
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
options:
  ca:
    description:
      - The certificate of the authority, in PEM form, by which O(urls) of C(https) are checked. Without it the
        authorities of the host are used.
    type: str
  calendars:
    description: Calendar expressions, as a timer of systemd takes them.
    type: list
    elements: str
    default: []
  capacity:
    description:
      - Options of M(etrid.gizzi.host_capacity), without O(etrid.gizzi.host_capacity#module:fail_on), to judge whether
        the host has enough for its models.
    type: dict
  commands:
    description: Names of programs.
    type: list
    elements: str
    default: []
  connections:
    description: Addresses of other hosts to which a connection is tried, for 2 seconds each.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: The address.
        type: str
        required: true
      port:
        description: The TCP port.
        type: int
        required: true
  disks:
    description: Absolute paths. Where one does not exist yet, its nearest existing parent is measured.
    type: list
    elements: str
    default: []
  documents:
    description: Programs that print a document of JSON, and change nothing. They have 30 seconds each.
    type: list
    elements: dict
    default: []
    suboptions:
      argv:
        description: The program by its absolute path, and its arguments.
        type: list
        elements: str
        required: true
      name:
        description: The document's name in the result.
        type: str
        required: true
  exposure:
    description: Whether to ask C(systemd-analyze security) about each of O(units). It needs systemd 250 or newer.
    type: bool
    default: false
  groups:
    description: Names of groups.
    type: list
    elements: str
    default: []
  guards:
    description: Whether to look at the guards of M(etrid.gizzi.port_guard), by the live rules. Needs root.
    type: bool
    default: false
  journals:
    description: Names of units whose journal to look at, in the namespace C(ollama) too.
    type: list
    elements: str
    default: []
  memory:
    description: Whether to look at the memory.
    type: bool
    default: false
  ollama_environment:
    description:
      - Looks for variables in the environment of Ollama's unit that role ollama has not set. Ollama hands its whole
        environment to the C(llama-server) that computes. C(LLAMA_API_KEY), or an empty variable C(LLAMA_ARG_…), from
        elsewhere breaks every answer there, while the server answers and models load.
    type: dict
    suboptions:
      names:
        description: The variables that the role is about to set. Without it, those that its files set.
        type: list
        elements: str
      overrides:
        description: The settings of section C(Service) that the role is about to write.
        type: dict
        default: {}
  paths:
    description: Absolute paths. A link is not followed.
    type: list
    elements: str
    default: []
  ports:
    description: TCP ports.
    type: list
    elements: int
    default: []
  processes:
    description: Absolute paths of programs whose processes to look at.
    type: list
    elements: str
    default: []
  processors:
    description: Whether to look at the processors.
    type: bool
    default: false
  pythons:
    description: Absolute paths of Pythons.
    type: list
    elements: str
    default: []
  releases:
    description: Folders of a program's releases.
    type: list
    elements: str
    default: []
  ssh_host_keys:
    description: Whether to read the public keys of the host's SSH server.
    type: bool
    default: false
  takeover:
    description:
      - Looks at what an earlier installation by hand has left. V(ollama) is a server of Ollama's C(install.sh),
        V(gizzi_api) C(/opt/gizzi/api_server.py) with its unit, V(ollama_client) C(/opt/validator/ollama_client.py).
      - V(rules) are firewall rules that let everybody reach port 11434 or 8080. V(programs) are programs and scripts
        that use Ollama's port or that client.
      - With V(ollama), O(capacity) counts the models of the earlier server as there.
    type: list
    elements: str
    choices: [gizzi_api, ollama, ollama_client, programs, rules]
    default: []
  tokens:
    description: By URL, the token that is sent to it. Such a URL must be C(https), or of this host.
    type: dict
    default: {}
  units:
    description: Names of systemd's units, with their suffix.
    type: list
    elements: str
    default: []
  urls:
    description: Addresses that answer GET with JSON. They are asked for 10 seconds each, and never through a proxy. No
      redirect is followed.
    type: list
    elements: str
    default: []
  users:
    description: Names of users.
    type: list
    elements: str
    default: []
notes:
  - The holder of a port, the processes of a program and the paths in folders of others are seen by root alone.
seealso:
  - module: etrid.gizzi.host_capacity
"""

EXAMPLES = r"""
- name: Look at the host
  etrid.gizzi.host_state:
    units:
      - ollama.service
    ports:
      - 11434
    releases:
      - /opt/ollama
  register: host

- name: The service runs
  ansible.builtin.assert:
    that: host.units['ollama.service'].active == 'active'
"""

RETURN = r"""
system:
  description: The host itself. A value that cannot be seen is empty or V(null).
  returned: success
  type: dict
  contains:
    service_manager:
      description: V(systemd), or the name of process 1.
      type: str
    systemd:
      description: The manager's version.
      type: int
    architecture:
      description: As C(uname -m) names it.
      type: str
      sample: x86_64
    kernel:
      description: Its release.
      type: str
    distribution:
      description: C(ID) of os-release(5).
      type: str
      sample: debian
    distribution_version:
      description: C(VERSION_ID) of os-release(5).
      type: str
      sample: "12"
    machine_id:
      description: 32 hex digits, by which systemd names the folders of the journal.
      type: str
    boot_id:
      description: It is different after each boot.
      type: str
    hostname:
      description: The host's own name for itself.
      type: str
    ipv6:
      description: Whether it has an IPv6 address, be it on loopback alone.
      type: bool
    time:
      description: Seconds since 1970, by the host's clock.
      type: float
    root:
      description: Whether this module ran as root.
      type: bool
calendars:
  description: By expression, C(valid) and systemd's C(message) where it is not.
  returned: when O(calendars) names some
  type: dict
capacity:
  description: >-
    What M(etrid.gizzi.host_capacity) returns, why the host does not have enough (C(refusal)), empty where it has, and
    C(warnings).
  returned: when O(capacity) is given
  type: dict
commands:
  description: By name, the path. V(null) where there is no such program.
  returned: when O(commands) names some
  type: dict
connections:
  description: >-
    Each of O(connections) with C(address), C(port), whether the connection was accepted (C(open)), and the C(reason)
    why not.
  returned: when O(connections) names some
  type: list
  elements: dict
disks:
  description: >-
    By path, C(free) and C(total) bytes of its filesystem, the C(mount) point, and C(path), the nearest that exists.
  returned: when O(disks) names some
  type: dict
documents:
  description: >-
    By name, the document (C(json)) and the C(code) with which the program ended. V(null) where there is none.
  returned: when O(documents) names some
  type: dict
groups:
  description: By name, C(gid) and C(members). V(null) where there is no such group.
  returned: when O(groups) names some
  type: dict
guards:
  description: >-
    By name, the C(port) and C(sources) of each guard, whether it holds, also after a reboot and a flush (C(effective)),
    or that cannot be told (C(unseen), a truth value), and the C(reason) why not.
  returned: when O(guards)
  type: dict
journals:
  description: >-
    By unit, the last 15 C(lines), without what may be secret, and the last C(death) of a process since the unit was
    started by hand or at boot, with the C(line) that tells of it and whether it was C(killed). C(death) is V(null)
    where the last 2000 lines tell of none.
  returned: when O(journals) names some
  type: dict
memory:
  description: Bytes, C(total) and C(available), as M(etrid.gizzi.host_capacity) counts them.
  returned: when O(memory)
  type: dict
ollama_environment:
  description: >-
    The variables of Ollama and llama-server that the service manager or a drop-in of others holds (C(foreign)), each
    with C(name) and C(source); what the unit has to C(unset), never what the role sets; the C(problems) where a drop-in
    of others changes what the role sets, with the remedy; where the C(server) is that the role has configured (C(host),
    C(url), C(port), C(on_loopback)); and of the C(process) the variables that the role's files do not set
    (C(unexpected)) and the proxies whose address holds a password (C(secrets)).
  returned: when O(ollama_environment) is given
  type: dict
paths:
  description: >-
    By path, C(kind) (V(file), V(folder), V(link) or V(other)), C(owner), C(group), C(mode) as V("0644"), C(size) in
    bytes, and C(target) of a link. V(null) where there is nothing.
  returned: when O(paths) names some
  type: dict
ports:
  description: >-
    By port, as text, the listeners, each with C(address), C(pid), C(process) and C(unit). V([]) where nobody listens.
    C(pid) is V(null), C(process) and C(unit) are empty where that cannot be seen.
  returned: when O(ports) names some
  type: dict
  sample:
    "11434":
      - address: 127.0.0.1
        pid: 812
        process: ollama
        unit: ollama.service
processes:
  description: >-
    By path, the processes that run the program, each with C(pid), C(unit), the C(libraries) that it has loaded, and
    whether the program's file was C(replaced) since it began. Those of containers with files of their own do not count.
  returned: when O(processes) names some
  type: dict
processors:
  description: C(count) of the host's, and how many of them are C(usable), under the limits that apply to this module.
  returned: when O(processors)
  type: dict
pythons:
  description: >-
    By path, C(version), C(minor_version) as V("3.11"), whether it makes virtual environments (C(venv)), and whether it
    is the distribution's own (C(of_distribution)). V(null) where there is nothing.
  returned: when O(pythons) names some
  type: dict
releases:
  description: >-
    By root, the name of the C(current) release, empty where there is no such link, and the names of those that are
    C(finished) and C(unfinished). A finished one has a file C(.finished) or the program C(bin/ollama).
  returned: when O(releases) names some
  type: dict
ssh_host_keys:
  description: The public keys, each with C(type) and C(key) in base64.
  returned: when O(ssh_host_keys)
  type: raw
takeover:
  description: What an earlier installation has left, by topic.
  returned: with O(takeover)
  type: dict
  contains:
    ollama:
      description:
        - A server that this collection has not installed. C(units) are its unit and drop-ins, C(enabled) the link that
          starts it at boot, C(commands) its program, C(user) its user, C(server) where it listens (V(null) where there
          is none), C(variables) the names of its variables.
        - C(store) is the folder of its models and C(models) their names, also when the server has been replaced.
          C(left) are files and folders that nothing needs any more when it has been replaced.
      type: dict
    gizzi_api:
      description: The C(files) of an earlier API server, and what is C(left) of one that was replaced.
      type: dict
    ollama_client:
      description: The C(files) of an earlier client, and what is C(left) of one that was replaced.
      type: dict
    rules:
      description: Rules that let everybody in, each with C(tool), C(port) and C(rule) as the tool prints it.
      type: list
      elements: dict
    programs:
      description:
        - C(found) has the C(path), the C(line) and C(why) of each, V(port) or V(import). C(complete) is whether all
          folders have been looked through within the limits of time and number.
      type: dict
units:
  description: >-
    By name, the states C(load), C(active), C(sub) and C(enabled), C(result) and C(exit_status) of the last run,
    C(restarts), C(main_pid), the C(user), the program (C(exec)), the unit's file (C(path)), its C(documentation) and
    C(drop_ins), C(unset_environment), bytes of C(memory) in use and C(memory_max), V(null) where there is no limit, and
    with O(exposure) the level C(exposure), 0 to 10.
  returned: when O(units) names some
  type: dict
urls:
  description: By address, the C(status) and the document (C(json)).
  returned: when O(urls) names some
  type: dict
users:
  description: By name, C(uid), C(gid), C(home) and C(shell). V(null) where there is no such user.
  returned: when O(users) names some
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._state._look import look

TEXTS = {"type": "list", "elements": "str", "default": []}
CONNECTION = {"address": {"type": "str", "required": True}, "port": {"type": "int", "required": True}}
DOCUMENT = {
    "argv": {"type": "list", "elements": "str", "required": True},
    "name": {"type": "str", "required": True},
}
SWITCH = {"type": "bool", "default": False}
ENVIRONMENT = {
    "names": {"type": "list", "elements": "str"},
    "overrides": {"type": "dict", "default": {}},
}
TOPICS = ("gizzi_api", "ollama", "ollama_client", "programs", "rules")
SPEC = {
    "ca": {"type": "str"},
    "calendars": TEXTS,
    "capacity": {"type": "dict"},
    "commands": TEXTS,
    "connections": {"type": "list", "elements": "dict", "default": [], "options": CONNECTION},
    "disks": TEXTS,
    "documents": {"type": "list", "elements": "dict", "default": [], "options": DOCUMENT},
    "exposure": SWITCH,
    "groups": TEXTS,
    "guards": SWITCH,
    "journals": TEXTS,
    "memory": SWITCH,
    "ollama_environment": {"type": "dict", "options": ENVIRONMENT},
    "paths": TEXTS,
    "ports": {"type": "list", "elements": "int", "default": []},
    "processes": TEXTS,
    "processors": SWITCH,
    "pythons": TEXTS,
    "releases": TEXTS,
    "ssh_host_keys": SWITCH,
    "takeover": {"type": "list", "elements": "str", "choices": [*TOPICS], "default": []},
    "units": TEXTS,
    "tokens": {"type": "dict", "default": {}, "no_log": True},
    "urls": TEXTS,
    "users": TEXTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    module.exit_json(changed=False, **look(module.params))


if __name__ == "__main__":
    main()
