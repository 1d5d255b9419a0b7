# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client as commands use it: with the cache that all of them share."""

from __future__ import annotations

from ollama_client.cache import DiskCache
from ollama_client.client import OllamaClient
from ollama_client.settings import Settings, load


def client(settings: Settings | None = None, model: str | None = None) -> OllamaClient:
    """Return a client. Errors: SettingsError."""
    found = settings or load()
    return OllamaClient(model=model, settings=found, cache=DiskCache(found.cache.folder, found.cache.seconds))
