# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health of a fleet in three tiers: rules, then Ollama, then Claude. Nothing is healthy because it is silent."""

from ollama_client.monitoring.tiers import TieredHealthCheck
from ollama_client.monitoring.worker import AIDevWorker

__all__ = ["AIDevWorker", "TieredHealthCheck"]
