# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An Ollama that this collection has not installed, as install.sh makes one: what role ollama does with it.

``earlier`` is topic ollama in section takeover of module host_state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._replaced import KEPT, replaced, unseen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OWN = ("/etc/systemd/system/ollama.service", "/etc/systemd/system/ollama.service.d/override.conf")
# What the role sets from its own variables.
_SET = ("OLLAMA_HOST", "OLLAMA_MODELS", "OLLAMA_CONTEXT_LENGTH", "HOME", "PATH")


def earlier_problems(earlier: Mapping[str, Any]) -> list[str]:
    """Return why an earlier server cannot be taken over."""
    if "unseen" in earlier:
        return unseen(earlier)
    if earlier["user"] not in ("", "root", "ollama"):
        return [
            f"An Ollama that this role has not installed runs as user {earlier['user']}, and install.sh makes one that "
            f"runs as ollama. Stop it, and move {' and '.join([*earlier['units'], *earlier['commands']])} away."
        ]
    return []


def taken_over(values: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the role's tasks need to replace an earlier server.

    ``replaced`` is what to set aside; ``old_store`` is the folder of its models, "" where there is none or where it is
    the role's own; ``old_models`` are those that come from it; ``old_left`` is what nothing needs afterwards.
    """
    store = "" if earlier["store"] == values["models_dir"] else earlier["store"]
    coming = _wanted(values, earlier["models"]) if store else []
    # Of a store that is the role's own nothing goes.
    left = [path for path in earlier["left"] if not path.startswith(f"{values['models_dir']}/")]
    return {
        **replaced(earlier["units"], earlier["commands"], _OWN, left, earlier["enabled"]),
        "old_store": store,
        "old_models": coming,
    }


def without_earlier(
    unset: Iterable[str], foreign: Iterable[Mapping[str, str]], earlier: Mapping[str, Any]
) -> list[str]:
    """Return the variables that the unit has to unset, without those that go with an earlier server's drop-ins."""
    going = {variable["name"] for variable in foreign if variable["source"] in earlier["units"]}
    return [name for name in unset if name not in going]


def earlier_notes(values: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[str]:
    """Return, for people, what becomes of an earlier server, its models and its variables."""
    files = [*earlier["units"], *earlier["commands"]]
    if not files:
        return []
    if values["state"] == "absent":
        what = f"{' and '.join(files)} are stopped and {KEPT}"
        models = f", its models stay in {earlier['store']}" if earlier["store"] else ""
        return [f"An Ollama that this collection has not installed is here, and none is to run: {what}{models}."]
    notes = [f"An Ollama that this collection has not installed is replaced: {' and '.join(files)} are {KEPT}."]
    coming = _wanted(values, earlier["models"])
    staying = [name for name in earlier["models"] if name not in coming]
    if coming and earlier["store"] != values["models_dir"]:
        notes.append(f"Models that come from {earlier['store']} without a download: {', '.join(coming)}.")
    if staying and earlier["store"] != values["models_dir"]:
        notes.append(
            f"Models that stay in {earlier['store']}, and that the new server does not have: {', '.join(staying)}. Put "
            "into ollama_models what it is to have."
        )
    lost = [name for name in earlier["variables"] if name not in (*_SET, *values["environment"])]
    if lost:
        notes.append(
            f"The earlier server had {' and '.join(lost)} set. Set in ollama_environment what is still needed."
        )
    return notes


def _wanted(values: Mapping[str, Any], there: Iterable[str]) -> list[str]:
    """Return those of an earlier server's models that the role pulls, or makes others from."""
    wanted = {model["name"].lower() for model in values["models_pulled"]}
    return [name for name in there if name.lower() in wanted]
