# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON answers of pages and of the host's programs, and connections to ports. No request uses a proxy."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._json import from_json
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen

if TYPE_CHECKING:
    from collections.abc import Mapping

# Timeout of a page and of a connection, in seconds.
PAGE_TIMEOUT = 10
CONNECT_TIMEOUT = 2
MAX_PAGE = 1_000_000


def urls(addresses: list[str], tokens: Mapping[str, str], ca: str) -> dict[str, Any]:
    """Return the JSON document of each URL; unseen where the answer is an error or missing.

    tokens has those of some of the URLs, and ca (PEM) is the only authority to trust, "" for those of the host.
    """
    return {url: _seen.seen_or_why(_page, url, tokens.get(url, ""), ca) for url in addresses}


def documents(wanted: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return each program's JSON output by name, also where it fails; None where the program does not exist."""
    return {str(one["name"]): _seen.seen_or_why(_document, one["argv"]) for one in wanted}


def connections(wanted: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each address and port whether a connection opens, and the reason if not."""
    return [_connection(str(one["address"]), int(one["port"])) for one in wanted]


def _page(url: str, token: str, ca: str) -> dict[str, Any]:
    # Imported here because they are large and most calls ask no page: see _look.
    from ansible_collections.etrid.gizzi.plugins.module_utils import _access, _http

    answer = _http.request("GET", url, PAGE_TIMEOUT, access=_access.check_access(url, token, ca))
    what = f"GET {url.partition('?')[0]}"
    if len(answer.body) > MAX_PAGE:
        raise _seen.UnseenError(f"{what} answered with more than {MAX_PAGE} bytes")
    try:
        return {"status": answer.status, "json": from_json(answer.body)}
    except ValueError as error:
        raise _seen.UnseenError(f"{what} answered with what is no JSON") from error


def _document(argv: list[str]) -> dict[str, Any] | None:
    if not argv or not argv[0].startswith("/"):
        raise _seen.UnseenError("a program is named by its absolute path")
    if not Path(argv[0]).exists():
        return None
    code, output, errors = _seen.ask(argv)
    try:
        return {"code": code, "json": from_json(output)}
    except ValueError as error:
        last = (errors.strip() or f"it ended with {code}").splitlines()[-1]
        raise _seen.UnseenError(f"{argv[0]} prints no JSON: {_seen.short(last)}") from error


def _connection(address: str, port: int) -> dict[str, Any]:
    try:
        socket.create_connection((address, port), CONNECT_TIMEOUT).close()
    except OSError as error:
        return {"address": address, "port": port, "open": False, "reason": _seen.short(str(error))}
    return {"address": address, "port": port, "open": True, "reason": ""}
