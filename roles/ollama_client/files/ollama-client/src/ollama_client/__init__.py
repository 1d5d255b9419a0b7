# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask Ollama about a network of validators: the package ollama_client and the command gizzi."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ollama_client.answer import Answer
    from ollama_client.client import OllamaClient
    from ollama_client.errors import GizziError
    from ollama_client.prompts import Data
    from ollama_client.settings import Settings
    from ollama_client.shown import shown_lines

__version__ = "1.0.0"
__all__ = ["Answer", "Data", "GizziError", "OllamaClient", "Settings", "__version__", "shown_lines"]

_HOMES = {
    "Answer": "answer",
    "Data": "prompts",
    "GizziError": "errors",
    "OllamaClient": "client",
    "Settings": "settings",
    "shown_lines": "shown",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `gizzi --help` waits for nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
