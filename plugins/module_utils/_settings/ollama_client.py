# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values of role ollama_client."""

from __future__ import annotations

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._thresholds import HOME

SAME_AS = {"ollama_client_thresholds": HOME}
