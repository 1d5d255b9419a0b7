# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tokens with which the hosts of a fleet ask a gateway, derived from one secret and a host's name."""

from __future__ import annotations

import hashlib
import hmac
import re

# A change of what these say replaces every token, or the name of every file of tokens.
_TOKEN = "etrid.gizzi gateway token 1\n"
_KEY_ID = "etrid.gizzi gateway key id 1"
_SECRET = re.compile(r"[\x21-\x7e]{32,}")


def token(secret: str, name: str) -> str:
    """Return the token of the host with this name in the inventory: 64 hex digits, which tell nothing of the secret."""
    return _hmac(secret, _TOKEN + name)


def key_id(secret: str) -> str:
    """Return 12 hex digits that tell one secret from another, and nothing of what it is."""
    return _hmac(secret, _KEY_ID)[:12]


def secret_problems(secret: str) -> list[str]:
    """Return the problem of the secret; the message does not show it."""
    if _SECRET.fullmatch(secret):
        return []
    return [
        "gateway_token_secret is not at least 32 visible ASCII characters. Make one with openssl rand -hex 32, and "
        "keep it in Vault."
    ]


def _hmac(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
