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
# What OpenSSL says of a certificate (x509_vfy.h).
_EXPIRED, _NOT_YET = 10, 9
_OTHER_HOST = (62, 64)
_OTHER_AUTHORITY = (2, 7, 18, 19, 20, 21)
# What to do about a certificate that is refused.
_CERTIFICATE = (
    "Neither token nor question was sent. See its ca_file, and the certificate there. For a gateway of the fleet, run"
    " the playbook etrid.gizzi.site for both hosts. If that changes nothing, somebody stands between the two."
)
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


def is_refusal(error: BaseException) -> bool:
    """Return whether the host is there, and nobody listens at the port."""
    return any(isinstance(one, ConnectionRefusedError) for one in _chain(error))


def hint(error: BaseException) -> str | None:
    """Return what to do where it was this side that refused the other; None for all else."""
    refused = any(isinstance(one, ssl.SSLCertVerificationError) for one in _chain(error))
    return _CERTIFICATE if refused else None


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    match error.verify_code:
        case code if code == _EXPIRED:
            return "its certificate has expired"
        case code if code == _NOT_YET:
            return "its certificate is not valid yet, or this host's clock is wrong"
        case code if code in _OTHER_HOST:
            return f"its certificate is for another host: {error.verify_message}"
        case code if code in _OTHER_AUTHORITY:
            return f"its certificate is of another authority than the one to trust: {error.verify_message}"
    return f"its certificate is not trusted: {error.verify_message}"


def _known(error: BaseException) -> str | None:
    match error:
        case socket.gaierror() if error.errno in _NO_NAME:
            return "no such host"
        case socket.gaierror():
            return f"the name could not be looked up: {error.strerror}"
        case UnicodeError():
            return "no such host: the name cannot be one"
        case ssl.SSLCertVerificationError():
            return f"TLS: {_certificate(error)}"
        case ssl.SSLError() if error.reason in _NO_TLS:
            return "TLS: what answers there does not use it"
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
