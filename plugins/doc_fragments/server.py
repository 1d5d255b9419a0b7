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
      - Redirects are not followed.
    type: str
    default: http://127.0.0.1:11434
  token:
    description:
      - The token to show to a gateway before the server (role P(etrid.gizzi.gateway#role)).
      - It is sent over C(https) only, or to this host itself.
    type: str
  ca:
    description:
      - The certificate of the authority of a gateway, in PEM form. With it no other authority is trusted, and without
        it those of the managed host are.
      - A certificate of another authority, one that has expired and one for another host are refused before anything is
        sent.
    type: str
  request_timeout:
    description: Seconds to wait for the answer to one small request, to the server or to a registry.
    type: float
    default: 10
"""
