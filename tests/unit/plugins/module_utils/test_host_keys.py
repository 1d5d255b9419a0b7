# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._host_keys import known_hosts


def key(kind: str = "ssh-ed25519", content: bytes = b"\0\0\0\x20" + b"k" * 32) -> dict[str, str]:
    blob = len(kind).to_bytes(4, "big") + kind.encode() + content
    return {"type": kind, "key": base64.b64encode(blob).decode()}


RSA = key("ssh-rsa", b"r" * 279)


def test_each_key_is_a_line() -> None:
    names = {"v1": "192.0.2.1", "v2": "[2001:db8::2]:2222"}
    lines, missing = known_hosts(names, {"v1": [key(), RSA], "v2": [key()]})
    assert lines == [
        f"192.0.2.1 ssh-ed25519 {key()['key']}",
        f"192.0.2.1 ssh-rsa {RSA['key']}",
        f"[2001:db8::2]:2222 ssh-ed25519 {key()['key']}",
    ]
    assert missing == []


@pytest.mark.parametrize(
    "answered",
    [
        None,
        [],
        "ssh-ed25519 AAAA",
        {"unseen": "there is no public key in /etc/ssh"},
        ["ssh-ed25519 AAAA"],
        [{}],
        [{"type": "ssh-ed25519", "key": None}],
        # A line of its own, about another host or about all of them.
        [key() | {"key": f"{key()['key']}\n192.0.2.2 ssh-ed25519 {key()['key']}"}],
        [key() | {"type": f"ssh-ed25519 {key()['key']}\n@cert-authority * ssh-ed25519"}],
        [key() | {"type": "@cert-authority"}],
        [key() | {"type": "ssh-rsa"}],
        [key() | {"key": "AAAA"}],
        [key() | {"key": "Ä"}],
        [key(content=b"k" * 4000)],
    ],
)
def test_what_is_no_key_is_left_out(answered: Any) -> None:
    assert known_hosts({"v1": "192.0.2.1"}, {"v1": answered}) == ([], ["v1"])
    assert known_hosts({"v1": "192.0.2.1"}, {}) == ([], ["v1"])


def test_a_key_beside_what_is_none_counts() -> None:
    assert len(known_hosts({"v1": "192.0.2.1"}, {"v1": [{"type": "x"}, key()]})[0]) == 1
