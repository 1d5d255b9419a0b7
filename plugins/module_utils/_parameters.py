# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parameters that a model of Ollama may have, and what is wrong with those that are asked for."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._version import LLAMA_SERVER

if TYPE_CHECKING:
    from collections.abc import Mapping

# Options and Runner of Ollama's api/types.go. 0.9.3 knows all of them but draft_num_predict.
NAMES = frozenset(
    (
        "draft_num_predict",
        "frequency_penalty",
        "main_gpu",
        "min_p",
        "num_batch",
        "num_ctx",
        "num_gpu",
        "num_keep",
        "num_predict",
        "num_thread",
        "presence_penalty",
        "repeat_last_n",
        "repeat_penalty",
        "seed",
        "stop",
        "temperature",
        "top_k",
        "top_p",
        "typical_p",
        "use_mmap",
    )
)


def name_problems(parameters: Mapping[str, Any]) -> list[str]:
    """Return a text for each name that Ollama would store and ignore; a value of None asks for nothing."""
    return [_unknown(name) for name, value in parameters.items() if value is not None and name not in NAMES]


def thread_problems(parameters: Mapping[str, Any], version: tuple[int, int, int] | None) -> list[str]:
    """Return what is wrong with num_thread; version is that of the server, None for a current one."""
    if parameters.get("num_thread") is None or (version and version < LLAMA_SERVER):
        return []
    return [
        "num_thread: since Ollama 0.30 it makes the server load the weights again at each switch between this model "
        "and its base. Remove it; ollama_cpu_threads of the role sets the threads of all models."
    ]


def room_problems(parameters: Mapping[str, Any], context_length: int) -> list[str]:
    """Return what is wrong with num_ctx beside the server's context (tokens): the memory of more is unchecked."""
    try:
        wanted = int(parameters.get("num_ctx") or 0)
    except (TypeError, ValueError):
        # Which values there may be, the module tells that makes the model.
        return []
    if wanted <= context_length:
        return []
    return [
        f"num_ctx: {wanted} tokens are more than ollama_context_length, {context_length}, whose memory is checked. "
        "Raise that, or write less."
    ]


def context_problem(parameters: Mapping[str, Any], trained: int | None, base: str) -> str:
    """Return what is wrong with num_ctx, "" for nothing; trained is the base's context in tokens, None if unknown.

    Ollama cuts a larger one to what the model was trained for, and says nothing.
    """
    wanted = parameters.get("num_ctx")
    if trained is None or not isinstance(wanted, int) or wanted <= trained:
        return ""
    return (
        f"num_ctx: {wanted} tokens are more than the {trained} for which {base} was trained, and Ollama would cut the "
        f"context to those without saying so. Write {trained} or less."
    )


def trained_context(shown: Mapping[str, Any]) -> int | None:
    """Return the tokens for which a model was trained, from an answer of /api/show; None where it does not tell."""
    info = shown.get("model_info")
    if not isinstance(info, dict):
        return None
    value = info.get(f"{info.get('general.architecture', '')}.context_length")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _unknown(name: str) -> str:
    near = get_close_matches(str(name).lower(), sorted(NAMES), n=1)
    remedy = f"Is {near[0]} meant?" if near else f"Known are {', '.join(sorted(NAMES))}."
    return f"{name}: Ollama does not know this parameter, and would store and ignore it without saying so. {remedy}"
