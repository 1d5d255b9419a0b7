# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  url:
    description:
      - Base URL of the Ollama server, as the managed host reaches it.
      - A path is kept, for a server behind a proxy. Proxies named in the environment are not used.
    type: str
    default: http://127.0.0.1:11434
  request_timeout:
    description: Seconds to wait for the answer to one small request, to the server or to a registry.
    type: float
    default: 10
"""
