"""Host patterns of plays: without the groups that have no host they mean the same hosts, and Ansible does not warn."""

from __future__ import annotations

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.utils.display import Display

from ansible_collections.etrid.gizzi.plugins.filter.known_groups import known_groups

GROUPS = {"a": ["h1", "h2"], "b": ["h2", "h3"], "c": ["h3"], "empty": []}


@pytest.fixture
def inventory() -> InventoryManager:
    manager = InventoryManager(loader=DataLoader(), sources=["h4,"])
    for group, hosts in GROUPS.items():
        manager.add_group(group)
        for host in hosts:
            manager.add_host(host, group)
    return manager


@pytest.mark.parametrize(
    ("pattern", "hosts"),
    [
        ("a", ["h1", "h2"]),
        ("a:b", ["h1", "h2", "h3"]),
        ("a:!b", ["h1"]),
        ("a:b:&c", ["h3"]),
        ("a:missing", ["h1", "h2"]),
        ("missing:a", ["h1", "h2"]),
        ("a:!missing", ["h1", "h2"]),
        ("a:&missing", []),
        ("a:&empty", []),
        ("missing", []),
        ("missing:!a", []),
        ("empty", []),
        ("missing:empty", []),
    ],
)
def test_means_the_same_hosts_without_a_warning(
    inventory: InventoryManager, monkeypatch: pytest.MonkeyPatch, pattern: str, hosts: list[str]
) -> None:
    def names(pattern: str) -> list[str]:
        return [host.name for host in inventory.get_hosts(pattern)]

    expected = names(pattern)
    warnings: list[str] = []
    monkeypatch.setattr(Display, "warning", lambda _self, message, *_more, **_others: warnings.append(message))
    assert names(known_groups(pattern, GROUPS)) == expected == hosts
    assert warnings == []


def test_otherwise() -> None:
    assert known_groups("missing:empty", GROUPS, "localhost") == "localhost"
    assert known_groups("missing:a", GROUPS, "localhost") == "a"
