# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host can reach: pages of JSON, and ports of others. Nothing is asked through a proxy."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._http import request
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen

if TYPE_CHECKING:
    from collections.abc import Mapping

# Seconds for a page, and for a connection.
PAGE_TIMEOUT = 10
CONNECT_TIMEOUT = 2
MAX_PAGE = 1_000_000


def urls(addresses: list[str]) -> dict[str, Any]:
    """Return what each URL answers to GET, a document of JSON; unseen where it answers an error or none."""
    return {url: _seen.seen_or_why(_page, url) for url in addresses}


def connections(wanted: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return of each address and port whether somebody takes a connection there, and why not."""
    return [_connection(str(one["address"]), int(one["port"])) for one in wanted]


def _page(url: str) -> dict[str, Any]:
    answer = request("GET", url, PAGE_TIMEOUT)
    if len(answer.body) > MAX_PAGE:
        raise _seen.UnseenError(f"GET {url} answered with more than {MAX_PAGE} bytes")
    try:
        return {"status": answer.status, "json": json.loads(answer.body)}
    except ValueError as error:
        raise _seen.UnseenError(f"GET {url} answered with what is no JSON") from error


def _connection(address: str, port: int) -> dict[str, Any]:
    try:
        socket.create_connection((address, port), CONNECT_TIMEOUT).close()
    except OSError as error:
        return {"address": address, "port": port, "open": False, "reason": _seen.short(str(error))}
    return {"address": address, "port": port, "open": True, "reason": ""}
