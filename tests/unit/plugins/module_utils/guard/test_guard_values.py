# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guard may be."""

from __future__ import annotations

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.values import (
    parse_guard,
    parse_source,
    problems,
    read_guard,
)
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.guard.hosts import guard


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("10.0.0.1", "10.0.0.1/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("FD42:0::1", "fd42::1/128"),
        ("fc00::/7", "fc00::/7"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("::ffff:10.0.0.0/120", "10.0.0.0/24"),
    ],
)
def test_a_source_is_a_network(written: str, meant: str) -> None:
    assert str(parse_source(written)) == meant


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("validator07", "not an IP address or CIDR"),
        ("", "not an IP address or CIDR"),
        ("10.0.0.1/33", "not an IP address or CIDR"),
        ("10.0.0.1 -j ACCEPT", "not an IP address or CIDR"),
        ("fe80::1%eth0", "has a zone"),
        ("0.0.0.0/0", "to everybody"),
        ("0.0.0.0", "to everybody"),
        ("128.0.0.0/1", "to everybody"),
        ("::/0", "to everybody"),
        ("::ffff:0:0/96", "to everybody"),
        ("2000::/3", "to everybody"),
        ("10.0.0.1/24", "write 10.0.0.0/24 for the network or 10.0.0.1 for the host"),
    ],
)
def test_what_is_no_source_is_named_with_the_remedy(source: str, reason: str) -> None:
    with pytest.raises(GizziError, match=reason):
        parse_source(source)


@pytest.mark.parametrize("name", ["", "Ollama", "ollama_1", "-ollama", "ollama-", "a" * 17])
def test_a_name_fits_in_a_chain_and_a_unit(name: str) -> None:
    (problem,) = problems(name, 1, [])
    assert f"name {name!r} is not usable" in problem


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(GizziError) as error:
        parse_guard("A", 70000, ["validator07", "::/0"], ["ollama"])
    said = str(error.value).split("; ")
    assert ["name 'A'" in said[0], "port 70000" in said[1], "'validator07'" in said[2], "'::/0'" in said[3]] == [
        True
    ] * 4
    assert "unit 'ollama' is not the name of a systemd unit" in said[4]


def test_the_same_source_written_otherwise_is_one() -> None:
    assert guard(["10.0.0.1", "10.0.0.1/32", "::ffff:10.0.0.1"]).sources == guard(["10.0.0.1"]).sources


def test_a_definition_is_read_as_it_was_written() -> None:
    wanted = guard(units=["ollama.service"])
    assert read_guard(wanted.written) == wanted


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"name": "ollama"}', '{"name":"o","port":1,"sources":["x"],"units":[]}']
)
def test_a_definition_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(GizziError):
        read_guard(text)
