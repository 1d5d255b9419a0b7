# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values of role ollama_client: their problems, values computed from them, and requirements for the host.

The values are those of the role's argument specification, with their types and without the prefix ``ollama_client_``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._access import check_ca
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._program import (
    further_problems,
    merged,
    python_problems,
    toml_of,
    too_old,
    wheelhouse_problems,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._replaced import KEPT, replaced, unseen
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._thresholds import HOME, threshold_problems
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._tokens import secret_problems, token

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SAME_AS = {
    "ollama_client_thresholds": HOME,
    "gateway_token_secret": ("gateway", "gateway_token_secret"),
}
# Ansible's own variable that the rules need: each host's token follows from its name.
OPTIONS = {"inventory_hostname": {"type": "str"}}

CONFIG_DIR = "/etc/gizzi"
CA_FILE = f"{CONFIG_DIR}/fleet-ca.pem"
GATEWAY_TOKEN_FILE = f"{CONFIG_DIR}/client-gateway.token"
API_TOKEN_FILE = f"{CONFIG_DIR}/client-api.token"
ANTHROPIC_FILE = f"{CONFIG_DIR}/client-anthropic.key"
ROOT = "/opt/validator/ollama-client"
# The role's own links into its releases.
LINKS = ("/usr/local/bin/gizzi", f"{CONFIG_DIR}/client.toml")
GROUP = "gizzi"
# The smallest number of tokens for a prompt and its answer.
SMALLEST_CONTEXT = 256

# Names that the role sets, and the variables from which it sets them.
_RESERVED = {
    "model": "ollama_client_model",
    "thresholds": "ollama_client_thresholds",
    "endpoints": "ollama_client_endpoints",
    "api.url": "ollama_client_api_url",
    "api.token_file": "ollama_client_api_token",
    "api.ca_file": "ollama_client_ca",
    "claude.api_key_file": "ollama_client_anthropic_key",
}
_MODEL = re.compile(r"\S+")
_ENDPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_URL = re.compile(r"https?://[^/\s]\S*")
_SECRET = re.compile(r"[\x21-\x7e]+")
# A valid user name for sysusers.d(5).
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def problems(values: Mapping[str, Any]) -> list[str]:
    """Return all problems of the values, each with the value and the solution."""
    if values["state"] == "absent":
        return []
    return [
        *_model_problems(values["model"]),
        *_endpoint_problems(values["endpoints"]),
        *_api_problems(values["api_url"]),
        *_ca_problems(values["ca"]),
        *(secret_problems(values["gateway_token_secret"]) if values["gateway_token_secret"] else []),
        *_context_problems(values["context_length"]),
        *_secret_problems(values),
        *threshold_problems("ollama_client_thresholds", values["thresholds"]),
        *further_problems("ollama_client_settings", values["settings"], _RESERVED, "{failover: {cooldown: 10}}"),
        *_user_problems(values["users"]),
        *wheelhouse_problems("ollama_client", values["wheelhouse"]),
    ]


def derived(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the program's TOML file, the files beside it, and the host's token for gateways, "" where it has none.

    The given values have no problem.
    """
    if values["state"] == "absent":
        # Also without the client, site waits for the server's answer.
        return {"config": "", "files": [], "gateway_token": _gateway_token(values)}
    entry = {"owner": "root", "group": GROUP, "mode": "0640", "secret": True}
    public = [{"owner": "root", "mode": "0644", "path": CA_FILE, "content": values["ca"]}] if values["ca"] else []
    secrets = [{**entry, "path": path, "content": f"{secret}\n"} for path, secret in _secrets(values)]
    return {
        "config": toml_of(merged(_own_settings(values), values["settings"])),
        "files": public + secrets,
        "gateway_token": _gateway_token(values),
    }


def look(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of module host_state; the given values have no problem."""
    if values["state"] == "absent":
        return {}
    return {
        "paths": list(LINKS),
        "pythons": [values["python"]],
        "takeover": ["ollama_client"],
        "users": values["users"],
    }


def left_out(values: Mapping[str, Any], host: Mapping[str, Any]) -> str:
    """Return why a run over the fleet goes on without the client on this host, "" where it does not.

    Ubuntu 22.04 has such a Python. A client that is there already had another one: then the variable is wrong.
    """
    if any(host["paths"][path] for path in LINKS):
        return ""
    old = too_old("ollama_client", values["python"], host["pythons"][values["python"]])
    return old and f"The run goes on without the client (gizzi). {old} Or set ollama_client_state to absent."


def host_problems(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """Return what the host lacks for these values; ``host`` is the result for look()."""
    if values["state"] == "absent":
        return []
    found = unseen(host["takeover"]["ollama_client"]) + python_problems("ollama_client", values["python"], host)
    hidden = [f"{path} ({host['paths'][path]['unseen']})" for path in LINKS if "unseen" in (host["paths"][path] or {})]
    if hidden:
        found.append(f"What is at {' and '.join(hidden)} could not be seen. Run the role as root.")
    foreign = [path for path in LINKS if _is_foreign(host["paths"][path])]
    if foreign:
        found.append(
            f"This role has not made what is at {' and '.join(foreign)}. Move it away, and run the role again."
        )
    missing = [name for name in values["users"] if host["users"][name] is None]
    if missing:
        found.append(
            f"ollama_client_users names {', '.join(missing)}, and the host has no such user. Create it first, or leave "
            "it out."
        )
    return found


def host_derived(values: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be set aside of an earlier client, and what is left of one that was."""
    earlier = {} if values["state"] == "absent" else host["takeover"]["ollama_client"]
    return replaced(earlier.get("files", []), [], [], earlier.get("left", []))


def host_notes(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """Return what becomes of an earlier client."""
    files = [] if values["state"] == "absent" else host["takeover"]["ollama_client"]["files"]
    return [
        f"{path} is {KEPT}. It returns errors as text, which a program may take for an answer. A program that imports "
        "it fails from now on; let it call the command gizzi."
        for path in files
    ]


def _is_foreign(there: Mapping[str, Any] | None) -> bool:
    if there is None or "unseen" in there:
        return False
    return there["kind"] != "link" or not there["target"].startswith(f"{ROOT}/")


def _own_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    thresholds = {name: value for name, value in values["thresholds"].items() if name != "stall_seconds"}
    api_token = {"token_file": API_TOKEN_FILE} if values["api_token"] else {}
    return {
        "model": values["model"],
        "endpoints": [_endpoint(one, values) for one in values["endpoints"]],
        "api": {"url": values["api_url"], **api_token, **_trusted(values["api_url"], values)},
        "prompt": {"context_tokens": values["context_length"]},
        "claude": {"api_key_file": ANTHROPIC_FILE} if values["anthropic_key"] else {},
        "thresholds": thresholds,
        "cache": {"folder": "/var/cache/gizzi", "root_folder": "/var/cache/gizzi-root"},
        "ledger": {"folder": "/var/lib/gizzi", "root_folder": "/var/lib/gizzi-root"},
    }


def _endpoint(one: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, str]:
    shown = {}
    if one.get("token"):
        shown = {"token_file": _token_file(one)}
    elif _is_shown_the_hosts_token(one, values):
        shown = {"token_file": GATEWAY_TOKEN_FILE}
    return {"name": one["name"], "url": one["url"], **shown, **_trusted(one["url"], values)}


def _trusted(url: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The setting by which the fleet's authority alone is trusted, where it was given."""
    return {"ca_file": CA_FILE} if values["ca"] and _is_https(url) else {}


def _is_shown_the_hosts_token(endpoint: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return bool(values["gateway_token_secret"]) and _is_https(endpoint["url"]) and not endpoint.get("token")


def _is_https(url: str) -> bool:
    return url.startswith("https:")


def _gateway_token(values: Mapping[str, Any]) -> str:
    secret = values["gateway_token_secret"]
    return token(secret, values["inventory_hostname"]) if secret else ""


def _token_file(endpoint: Mapping[str, Any]) -> str:
    return f"{CONFIG_DIR}/client-endpoint-{endpoint['name']}.token"


def _secrets(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the path of each secret's file, and the secret."""
    for one in values["endpoints"]:
        if one.get("token"):
            yield _token_file(one), one.get("token")
    if any(_is_shown_the_hosts_token(one, values) for one in values["endpoints"]):
        yield GATEWAY_TOKEN_FILE, _gateway_token(values)
    if values["api_token"]:
        yield API_TOKEN_FILE, values["api_token"]
    if values["anthropic_key"]:
        yield ANTHROPIC_FILE, values["anthropic_key"]


def _model_problems(model: str) -> list[str]:
    if _MODEL.fullmatch(model):
        return []
    return [f'ollama_client_model is "{model}". Name a model, for instance "llama3.1:8b".']


def _endpoint_problems(endpoints: list[dict[str, Any]]) -> list[str]:
    if not endpoints:
        return [
            "ollama_client_endpoints is empty. List the servers to ask, for instance "
            '[{name: own, url: "http://127.0.0.1:11434"}].'
        ]
    names = [one["name"] for one in endpoints]
    found = []
    if len(set(names)) < len(names):
        found.append(f"ollama_client_endpoints has a name twice: {', '.join(names)}. Give each server its own.")
    wrong = [name for name in names if not _ENDPOINT.fullmatch(name)]
    if wrong:
        found.append(
            f"ollama_client_endpoints has the names {', '.join(wrong)}. A name has letters, digits, dots, underscores "
            "and hyphens alone."
        )
    elsewhere = [one["url"] for one in endpoints if not _URL.fullmatch(one["url"])]
    if elsewhere:
        found.append(
            f"ollama_client_endpoints has the addresses {', '.join(elsewhere)}. Each must start with http:// or https://."
        )
    return found


def _api_problems(url: str) -> list[str]:
    return [] if _URL.fullmatch(url) else [f'ollama_client_api_url is "{url}". It must start with http:// or https://.']


def _ca_problems(ca: str) -> list[str]:
    if "PRIVATE KEY" in ca:
        # All users of the host may read the file.
        return ["ollama_client_ca holds a private key. Give the certificate of the authority alone."]
    try:
        if ca:
            check_ca(ca)
    except GizziError:
        return [
            "ollama_client_ca is no certificate in PEM form. Give the text of the file that begins with -----BEGIN "
            "CERTIFICATE-----."
        ]
    return []


def _context_problems(length: int) -> list[str]:
    if length >= SMALLEST_CONTEXT:
        return []
    return [
        f"ollama_client_context_length is {length}. Give the tokens of the servers' context, for instance 4096; a "
        f"prompt and its answer need {SMALLEST_CONTEXT} at least."
    ]


def _secret_problems(values: Mapping[str, Any]) -> list[str]:
    if all(_SECRET.fullmatch(secret) for _path, secret in _secrets(values)):
        return []
    return [
        "ollama_client_api_token, ollama_client_anthropic_key or a token in ollama_client_endpoints has blanks or "
        "characters that are not ASCII. Give it as it was given to you."
    ]


def _user_problems(users: list[str]) -> list[str]:
    wrong = [name for name in users if not _USER.fullmatch(name)]
    if not wrong:
        return []
    return [f"ollama_client_users names {', '.join(map(repr, wrong))}, which cannot be a user. Name a login."]
