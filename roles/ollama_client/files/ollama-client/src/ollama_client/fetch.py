# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One question to a server that may be anything."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import httpx

from ollama_client.deadline import Limit, LimitedTransport

# Of an address that is none of ours, so much is told.
TOLD = 200


def fetch(
    url: str, limit: Limit, tls: ssl.SSLContext | None, headers: Mapping[str, str], body: object = None
) -> tuple[int, bytes]:
    """Return the HTTP status and the body as it was sent: unpacked, a few bytes could become any number of them.

    Args:
        url: what to get.
        limit: the time that it may take; the transport bounds the bytes.
        tls: for https.
        headers: further ones.
        body: to be sent as JSON, by a POST in place of a GET.

    Errors: httpx.HTTPError, httpx.InvalidURL, OSError, ValueError.
    """
    sent = {"Accept-Encoding": "identity"} | dict(headers)
    with (
        httpx.Client(transport=LimitedTransport(limit, tls), headers=sent, timeout=None, trust_env=False) as client,
        client.stream("GET" if body is None else "POST", url, json=body) as answer,
    ):
        if answer.has_redirect_location:
            # A redirect may lead to plain text, or to somebody else.
            raise ValueError(redirected(answer.status_code, answer.headers["location"]))
        return answer.status_code, b"".join(answer.iter_raw())


def redirected(status: int, target: str) -> str:
    """Return what there is to say of a redirect, which nobody here follows."""
    return f"it redirects to {target[:TOLD]} (HTTP {status}), which is not followed"
