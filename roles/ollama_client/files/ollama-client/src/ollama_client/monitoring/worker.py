# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In place of the class of the same name in ai_dev_workers.py: the same constructor, methods and keys."""

from __future__ import annotations

from typing import Any

from ollama_client.claude import Claude
from ollama_client.client import OllamaClient
from ollama_client.ledger import Ledger
from ollama_client.monitoring.tiers import TieredHealthCheck
from ollama_client.settings import load


class AIDevWorker:
    """A worker that checks the validators.

    Args:
        aidev_id: its name, by which the models are addressed.
        anthropic_api_key: in place of the settings'; empty: the settings'.
        monitor: kept as the attribute of this name.
        ollama_url: the only Ollama to ask; without it every check goes to Claude.
        optimized: False: every check goes to Claude.

    Errors: SettingsError.
    """

    def __init__(
        self,
        aidev_id: str,
        anthropic_api_key: str | None,
        monitor: Any,
        ollama_url: str | None = None,
        optimized: bool = True,
    ) -> None:
        self.aidev_id = aidev_id
        self.monitor = monitor
        self.optimized = optimized
        settings = load()
        self.ollama = OllamaClient(ollama_url, settings=settings) if ollama_url else None
        ledger = Ledger(settings)
        claude = Claude(settings.claude, ledger, anthropic_api_key or None)
        self._check = TieredHealthCheck(
            self.ollama or OllamaClient(settings=settings), claude=claude, ledger=ledger, name=aidev_id
        )

    def quick_health_check(self, validator_statuses: object) -> dict[str, Any]:
        """As ``TieredHealthCheck.quick_health_check``."""
        if self.ollama is None or not self.optimized:
            return self.analyze_with_claude(validator_statuses)
        return self._check.quick_health_check(validator_statuses)

    def analyze_with_claude(self, validator_statuses: object) -> dict[str, Any]:
        """As ``TieredHealthCheck.analyze_with_claude``."""
        return self._check.analyze_with_claude(validator_statuses)
