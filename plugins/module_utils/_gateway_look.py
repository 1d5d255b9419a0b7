# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How gateways are, seen from a host: the certificates of its own, what those that it asks let through, and mirrors."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ansible.module_utils.urls import make_context

from ansible_collections.etrid.gizzi.plugins.module_utils._access import Access, certificate_reason
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import BadStatusError, request
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import BusyRegistryError, RegistryError

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Registry

# Of a connection and of a small request, in seconds.
TIMEOUT = 10.0
# Where a listener of the host itself is reached, whichever family it has.
OWN = ("127.0.0.1", "::1")


def certificate(port: int, access: Access) -> dict[str, Any]:
    """Return what is wrong with the certificate that this host serves at a port, and what it says.

    ``problem`` is empty where the authority is the one to trust and the time is right; only then are there ``left``,
    the seconds until it expires by the host's clock, and ``addresses``, for which it is.
    """
    try:
        shown = _shown(port, access)
    except ssl.SSLCertVerificationError as error:
        return _certificate(problem=certificate_reason(error, f"port {port}"))
    except OSError as error:
        return _certificate(problem=f"port {port} shows no certificate: {error}")
    left = ssl.cert_time_to_seconds(shown["notAfter"]) - time.time()
    return _certificate(left=left, addresses=_addresses(shown.get("subjectAltName", ())))


def let_through(url: str, access: Access) -> dict[str, Any]:
    """Ask a gateway with this host's token, without one, and for what changes models.

    Returns ``token``, why the host's own does not count ("" where it does), and the statuses ``stranger`` and
    ``change``; raises GizziError where there is no answer. Were the change let through, it would name no model, and so
    change nothing.
    """
    stranger = Access(ca=access.ca)
    try:
        Ollama(url, TIMEOUT, access.token, access.ca).version()
        refused = ""
    except GizziError as error:
        refused = str(error)
    return {
        "token": refused,
        "stranger": _status("GET", f"{url}/api/version", stranger),
        "change": _status("POST", f"{url}/api/pull", access, {}),
    }


def given(mirror: Registry, name: ModelName) -> dict[str, Any]:
    """Ask a mirror for a model's manifest.

    Returns its ``digest`` in hex, "" where there is none, the ``problem``, "" where there is none, and whether the
    mirror is ``full`` and has to be asked again.
    """
    try:
        return {"digest": mirror.manifest(name, TIMEOUT).digest, "problem": "", "full": False}
    except RegistryError as error:
        return {"digest": "", "problem": str(error), "full": isinstance(error, BusyRegistryError)}


def _shown(port: int, access: Access) -> dict[str, Any]:
    context = access.context() or make_context()
    # The connection goes to loopback; for which addresses it is, is compared later.
    context.check_hostname = False
    refusal: OSError = ConnectionRefusedError("nothing listens there")
    for address in OWN:
        try:
            connection = socket.create_connection((address, port), TIMEOUT)
        except OSError as error:  # noqa: PERF203  # It is what the loop is for.
            refusal = error
        else:
            with connection, context.wrap_socket(connection) as secured:
                # Never None: it is asked for, and was verified.
                return dict(secured.getpeercert() or {})
    raise refusal


def _certificate(problem: str = "", left: float | None = None, addresses: list[str] | None = None) -> dict[str, Any]:
    return {"problem": problem, "left": left, "addresses": addresses or []}


def _addresses(names: Any) -> list[str]:
    """Return the addresses among the names of a certificate, in their short form."""
    found = []
    for kind, value in names:
        if kind == "IP Address":
            with suppress(ValueError):
                found.append(str(ipaddress.ip_address(value)))
    return found


def _status(method: str, url: str, access: Access, payload: dict[str, Any] | None = None) -> int:
    try:
        return request(method, url, TIMEOUT, payload, access=access).status
    except BadStatusError as error:
        return error.status
