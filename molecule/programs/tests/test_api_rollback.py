"""From one release to another, and back when the new one does not become ready. The tests run in this order."""

from __future__ import annotations

from collections.abc import Callable

from conftest import guard_rules, started
from testinfra.host import Host

from lab.network import ask, statuses

CONFIGURATION = "/etc/gizzi /etc/systemd/system/gizzi-api.service"


def versions(gizzi: Host) -> list[str]:
    """Return the versions that lie on the host."""
    releases = gizzi.check_output("ls /opt/gizzi-api").split()
    return sorted(release.partition("-")[0] for release in releases if release != "current")


def state(gizzi: Host) -> tuple[str, list[str], str]:
    """Return what a rollback must bring back: configuration, firewall and release."""
    look = f"find {CONFIGURATION} -type f -exec sha256sum {{}} + -exec stat --format='%n %U %G %a' {{}} + | sort"
    return gizzi.check_output(look), guard_rules(gizzi), gizzi.check_output("readlink /opt/gizzi-api/current")


def test_settings_that_the_program_refuses_never_reach_it(gizzi: Host, converge: Callable[..., str]) -> None:
    before, starts = state(gizzi), started(gizzi)
    printed = converge(fails=True, gizzi_api_settings={"history": {"steps": 3}})
    assert "history.steps" in printed
    assert "This run had changed nothing." in printed
    assert (state(gizzi), started(gizzi)) == (before, starts)


def test_release_that_does_not_start_and_its_settings_are_taken_back(
    gizzi: Host, converge: Callable[..., str], program: Callable[..., str]
) -> None:
    before = state(gizzi)
    printed = converge(
        fails=True,
        _gizzi_api_source=program("1.0.1", ends=True),
        gizzi_api_listen="[::]:8081",
        gizzi_api_token="another-token-of-the-lab",
        gizzi_api_start_timeout=5,
    )
    assert "ended at once" in printed
    assert "The previous release and settings are back, and in use." in printed
    assert "another-token-of-the-lab" not in printed
    assert guard_rules(gizzi) != []
    assert state(gizzi) == before
    assert versions(gizzi) == ["1.0.0"]
    assert set(statuses(gizzi)) == {1, 2, 10, 21}


def test_upgrade_restarts_once_and_keeps_the_earlier_release(
    gizzi: Host, converge: Callable[..., str], program: Callable[..., str]
) -> None:
    starts = started(gizzi)
    converge(_gizzi_api_source=program("1.0.1"))
    assert ask(gizzi, "/healthz")[1]["version"] == "1.0.1"
    assert (versions(gizzi), started(gizzi)) == (["1.0.0", "1.0.1"], starts + 1)
