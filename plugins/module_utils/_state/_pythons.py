# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's Python interpreters: their versions, and whether they can make virtual environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.etrid.gizzi.plugins.module_utils._json import from_json
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen

# The prefix of the distribution's Python; Python in /usr/local or in a virtual environment has another one.
PREFIX = "/usr"
_QUESTION = """
import importlib.util, json, sys
found = lambda name: importlib.util.find_spec(name) is not None
print(json.dumps([list(sys.version_info[:3]), found("venv"), found("ensurepip"), sys.prefix]))
"""


def pythons(paths: list[str]) -> dict[str, Any]:
    """Return the properties of the Python at each path; None where no file exists, unseen where no Python answers."""
    return {path: _seen.seen_or_why(_python, path) for path in paths}


def _python(path: str) -> dict[str, Any] | None:
    if not path.startswith("/"):
        raise _seen.UnseenError("it is no absolute path")
    if not Path(path).exists():
        return None
    answer = _seen.answer_of([path, "-I", "-c", _QUESTION])
    try:
        version, venv, ensurepip, prefix = from_json(answer)
        major, minor, patch = (int(number) for number in version)
    except (ValueError, TypeError) as error:
        raise _seen.UnseenError(f"{path} does not answer as a Python does") from error
    return {
        "version": f"{major}.{minor}.{patch}",
        "minor_version": f"{major}.{minor}",
        "venv": venv is True and ensurepip is True,
        "of_distribution": prefix == PREFIX,
    }
