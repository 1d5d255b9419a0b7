"""The lab's addresses: programs write them in the same way, whatever the hash of the checkout's path is."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

VARS = Path(__file__).parents[3] / "lab/playbooks/vars.yml"


@pytest.mark.parametrize("digits", ["0", "01", "0f", "f", "e016effd"])
def test_addresses_are_in_their_short_form(digits: str) -> None:
    loader = DataLoader()
    variables = loader.load_from_file(str(VARS), trusted_as_template=True) | {"lab_hash": (digits * 64)[:64]}
    made = Templar(loader, variables).template(trust_as_template("{{ lab_ipv4 }}.11 {{ lab_ipv6 }}:11"))
    assert made == " ".join(str(ipaddress.ip_address(text)) for text in made.split())
