# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tokens of a gateway: one secret gives every host its own."""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._tokens import key_id, secret_problems, token

SECRET = "0123456789abcdef" * 4


def _openssl(text: str) -> str:
    command = ["openssl", "dgst", "-sha256", "-hmac", SECRET, "-r"]
    return subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout.decode().split()[0]


def test_a_token_is_what_another_program_makes_of_secret_and_name() -> None:
    assert token(SECRET, "validator01") == _openssl("etrid.gizzi gateway token 1\nvalidator01")
    assert key_id(SECRET) == _openssl("etrid.gizzi gateway key id 1")[:12]


def test_every_host_and_every_secret_has_another_token() -> None:
    names = [f"validator{number:02}" for number in range(1, 22)]
    tokens = {token(secret, name) for secret in (SECRET, SECRET + "x") for name in names}
    assert len(tokens) == 42
    assert key_id(SECRET) != key_id(SECRET + "x")


@pytest.mark.parametrize("secret", ["", "a" * 31, "a" * 32 + "\n", "a" * 16 + " " + "a" * 16, "ä" * 32], ids=repr)
def test_a_secret_that_is_short_or_not_plain_is_refused_and_not_shown(secret: str) -> None:
    (problem,) = secret_problems(secret)
    assert problem.startswith("gateway_token_secret is not") and "openssl rand -hex 32" in problem
    assert not secret or secret not in problem


def test_a_secret_as_openssl_makes_it_is_taken() -> None:
    assert secret_problems(SECRET) == []
    assert secret_problems("a" * 32) == []
