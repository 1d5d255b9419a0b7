"""A fleet that the user's document has made, as the scenario takeover prepares it, and what it was like before."""

from __future__ import annotations

import json
import re

from testinfra.host import Host

# The Gizzi host, a validator with an Ollama of its own, and one with the document's client only.
SERVER, OWN, ASKER = "validator01", "validator02", "validator03"
ASIDE = ".before-gizzi"
OLD_STORE = "/usr/share/ollama/.ollama/models"
CLIENT = "/opt/validator/ollama_client.py"


def before(host: Host, name: str) -> str:
    """Return a file that prepare.yml has written about the host; see files/remember.sh."""
    return str(host.file(f"/root/before/{name}").content_string)


def replaced(host: Host) -> list[str]:
    """Return the paths of the files of the document that the takeover replaces on this host."""
    return [line.split()[1] for line in before(host, "files").splitlines()]


def old_digests(host: Host) -> dict[str, str]:
    """Return the digest of each model that the document's Ollama had."""
    return {model["name"]: model["digest"] for model in json.loads(before(host, "tags"))["models"]}


def meaningful(saved: str) -> list[str]:
    """Return saved rules without the time, the counters, and what the collection has made."""
    lines = [re.sub(r"\[\d+:\d+\]", "", line) for line in saved.splitlines() if not line.startswith("#")]
    return [line for line in lines if "GIZZI-" not in line]
