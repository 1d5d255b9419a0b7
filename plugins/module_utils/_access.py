# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a server of the fleet is asked: the authority to trust, the token to show, and no redirects."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._runner import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = re.compile(r"[\x21-\x7e]+")
# What OpenSSL says of a certificate (x509_vfy.h): out of its time, for another name or address, not by the authority.
_EXPIRED, _NOT_YET = 10, 9
_OTHER_HOST = (62, 64)
_OTHER_AUTHORITY = (2, 7, 18, 19, 20, 21)


@dataclass(frozen=True)
class Access:
    """What is needed to ask one server.

    Attributes:
        token: sent as a bearer token, "" for none.
        ca: PEM text of the only authority to trust for https, "" for those of the host.
    """

    token: str = field(default="", repr=False)
    ca: str = ""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that each request carries."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def context(self) -> ssl.SSLContext | None:
        """Return a context that trusts this authority alone, None where the host's are to be trusted."""
        return check_ca(self.ca) if self.ca else None


def check_access(url: str, token: str, ca: str) -> Access:
    """Return the access to the server at a URL, or say what is wrong with it; the token is in no message."""
    if token and not _TOKEN.fullmatch(token):
        raise GizziError("token: it must consist of visible ASCII characters, without a space or a line break.")
    if token and not url.startswith("https:") and not is_loopback(url):
        raise GizziError(f"token: it would go to {url} in plain text. Use an https:// URL.")
    if ca:
        check_ca(ca)
    return Access(token, ca)


def certificate_reason(error: ssl.SSLCertVerificationError, host: str) -> str:
    """Say what is wrong with the certificate that a host has shown."""
    shown = f"the certificate that {host} shows"
    code = error.verify_code
    if code == _EXPIRED:
        return f"{shown} has expired"
    if code == _NOT_YET:
        return f"{shown} is not valid yet (or this host's clock is wrong)"
    if code in _OTHER_HOST:
        return f"{shown} is for another host ({error.verify_message})"
    if code in _OTHER_AUTHORITY:
        return f"{shown} is of another authority than the one to trust ({error.verify_message})"
    return f"{shown} is not good ({error.verify_message})"


def check_ca(ca: str) -> ssl.SSLContext:
    """Return a context that trusts this authority alone; raise GizziError for what is no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError, TypeError):
        raise GizziError("ca: this is no certificate in PEM form (-----BEGIN CERTIFICATE-----).") from None
    return context
