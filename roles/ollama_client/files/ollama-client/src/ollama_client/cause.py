# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why there is no connection, in words: httpx tells it in its own for each system."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

import httpx

_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
_NO_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def of(error: BaseException) -> str:
    """Return why there is no connection: no such host, refused, TLS, no route, timed out, or the system's own words."""
    chain = list(_chain(error))
    for one in chain:
        if found := _known(one):
            return found
    if any(isinstance(one, httpx.TimeoutException | TimeoutError) for one in chain):
        return "timed out"
    last = chain[-1]
    return (last.strerror if isinstance(last, OSError) else None) or str(last) or type(last).__name__


def _known(error: BaseException) -> str | None:
    match error:
        case socket.gaierror() if error.errno in _NO_NAME:
            return "no such host"
        case socket.gaierror():
            return f"the name could not be looked up: {error.strerror}"
        case UnicodeError():
            return "no such host: the name cannot be one"
        case ssl.SSLCertVerificationError():
            return f"TLS: its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError() if error.reason in _NO_TLS:
            return "TLS: what answers there speaks none"
        case ssl.SSLError():
            return f"TLS: {error.reason or error}"
        case ConnectionRefusedError():
            return "refused"
        case ConnectionResetError() | BrokenPipeError():
            return "it was closed by the other side"
        case OSError() if error.errno in _NO_ROUTE:
            return "no route"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it comes from, down to the system's."""
    at: BaseException | None = error
    while at is not None:
        yield at
        # httpcore takes the cause away, and leaves the context.
        at = at.__cause__ or at.__context__
