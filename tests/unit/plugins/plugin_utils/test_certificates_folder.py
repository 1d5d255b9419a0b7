# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder of the control host: what stays, what is made, what is refused, and what is left of a run cut off."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _authority_folder
from ansible_collections.etrid.gizzi.plugins.plugin_utils._authority import (
    clock,
    made,
    made_authority,
    names_of,
    new_key,
    reason,
)
from ansible_collections.etrid.gizzi.plugins.plugin_utils._certificates import Kept, certificates

NOW = clock()
DAY = timedelta(days=1)
HOSTS = {"gizzi": ["192.0.2.1", "gizzi.example.org"], "validator02": ["192.0.2.2"]}
FILES = {".lock", ".gitignore", *(f"{name}.{end}" for name in ("authority", *HOSTS) for end in ("pem", "key"))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "inventory/gateway"


def keep(folder: Path, hosts: dict[Any, Any] | None = None, key: str = "", now: Any = NOW, check: bool = False) -> Kept:
    return certificates(folder, HOSTS if hosts is None else hosts, key, now, check)


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else {}


def assert_whole(folder: Path, kept: Kept) -> None:
    """What was returned stands in the folder, belongs together, and is all there is."""
    found = content(folder)
    assert found.keys() == FILES
    assert kept.hosts.keys() == HOSTS.keys()
    for name, pair in {"authority": kept.authority, **kept.hosts}.items():
        assert (found[f"{name}.pem"], found[f"{name}.key"]) == (pair.certificate_pem(), pair.key_pem())
    for name, pair in kept.hosts.items():
        assert reason(pair.certificate, pair.key, kept.authority, names_of(HOSTS[name]), NOW) == ""


def test_a_first_run_makes_all_and_a_second_one_nothing(folder: Path) -> None:
    first = keep(folder)
    assert first.reasons == dict.fromkeys(("authority", *HOSTS), "it is missing")
    assert_whole(folder, first)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    before = content(folder)
    second = keep(folder)
    assert second.reasons == {}
    assert content(folder) == before
    assert_whole(folder, second)


def test_git_does_not_take_the_keys_along(folder: Path) -> None:
    keep(folder)
    git = ["git", "-C", str(folder.parent)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    (folder.parent / "hosts.yml").write_text("")
    seen = subprocess.run([*git, "status", "--porcelain"], check=True, capture_output=True, text=True)
    assert seen.stdout.split() == ["??", "hosts.yml"]
    # Who wants them there says so.
    (folder / ".gitignore").write_text("")
    keep(folder)
    assert (folder / ".gitignore").read_text() == ""


def test_check_mode_returns_what_a_run_would_make_and_writes_nothing(folder: Path) -> None:
    found = keep(folder, check=True)
    assert not folder.parent.exists()
    assert found.reasons.keys() == {"authority", *HOSTS}
    for name, pair in found.hosts.items():
        assert reason(pair.certificate, pair.key, found.authority, names_of(HOSTS[name]), NOW) == ""
    kept = keep(folder)
    before = content(folder)
    assert keep(folder, check=True).reasons == {}
    later = keep(folder, {"gizzi": ["192.0.2.9"], "validator03": ["192.0.2.3"]}, check=True)
    assert later.reasons == {
        "gizzi": "its addresses or names have changed",
        "validator03": "it is missing",
        "validator02": "it is not asked for any more",
    }
    assert later.authority.certificate == kept.authority.certificate
    assert content(folder) == before


def test_one_that_is_near_its_end_is_made_anew_with_a_new_key(folder: Path) -> None:
    first = keep(folder)
    assert keep(folder, now=NOW + 305 * DAY).reasons == {}
    second = keep(folder, now=NOW + 306 * DAY)
    assert second.reasons.keys() == HOSTS.keys()
    assert second.authority.certificate == first.authority.certificate
    for name, pair in second.hosts.items():
        assert pair.certificate.public_key() != first.hosts[name].certificate.public_key()
        assert pair.expires(NOW + 306 * DAY) == 365 * 86400


def test_an_authority_near_its_end_keeps_its_key(folder: Path) -> None:
    first = keep(folder)
    later = NOW + 3300 * DAY
    second = keep(folder, now=later)
    assert second.reasons.keys() == {"authority", *HOSTS}
    assert second.authority.certificate.public_key() == first.authority.certificate.public_key()
    assert second.authority.expires(later) == 3650 * 86400
    assert keep(folder, now=later).reasons == {}


def test_only_the_host_with_other_addresses_gets_a_new_one(folder: Path) -> None:
    keep(folder)
    before = content(folder)
    assert keep(folder, {**HOSTS, "gizzi": ["192.0.2.9"]}).reasons == {"gizzi": "its addresses or names have changed"}
    after = content(folder)
    assert {name for name in FILES if before[name] != after[name]} == {"gizzi.pem", "gizzi.key"}


def test_a_host_taken_off_loses_its_files_and_other_files_stay(folder: Path) -> None:
    keep(folder)
    (folder / "notes.txt").write_text("x")
    (folder / "notes.txt").chmod(0o644)
    assert keep(folder, {"gizzi": HOSTS["gizzi"]}).reasons == {"validator02": "it is not asked for any more"}
    assert content(folder).keys() == FILES - {"validator02.pem", "validator02.key"} | {"notes.txt"}


def test_without_the_authority_all_is_made_anew(folder: Path) -> None:
    """What an operator does when its key was stolen."""
    first = keep(folder)
    (folder / "authority.pem").unlink()
    (folder / "authority.key").unlink()
    second = keep(folder)
    assert second.reasons == {"authority": "it is missing", **dict.fromkeys(HOSTS, "the authority is another one")}
    assert second.authority.certificate.public_key() != first.authority.certificate.public_key()
    assert_whole(folder, second)


def test_an_authority_whose_certificate_alone_is_lost_stays_the_same(folder: Path) -> None:
    first = keep(folder)
    (folder / "authority.pem").unlink()
    second = keep(folder)
    assert second.reasons == {"authority": "it is missing"}
    assert second.authority.certificate.subject == first.authority.certificate.subject


def test_the_key_from_vault_stands_in_no_file(folder: Path) -> None:
    key = keep(folder).authority.key_pem()
    (folder / "authority.key").unlink()
    assert keep(folder, key=key).reasons == {}
    assert keep(folder, {**HOSTS, "new": ["192.0.2.3"]}, key).reasons == {"new": "it is missing"}
    assert not (folder / "authority.key").exists()
    with pytest.raises(GizziError, match=r"authority\.pem is there, and its key .*authority\.key is not\. Put the key"):
        keep(folder)
    with pytest.raises(GizziError, match=r"authority\.pem and the authority's key do not belong together"):
        keep(folder, key=made_authority(new_key(), NOW).key_pem())
    with pytest.raises(GizziError, match="authority_key is no private key"):
        keep(folder, key="hunter2")


def test_the_key_from_vault_is_enough_for_a_new_folder(folder: Path) -> None:
    key = new_key()
    kept = keep(folder, key=made_authority(key, NOW).key_pem())
    assert kept.authority.certificate.public_key() == key.public_key()
    assert content(folder).keys() == FILES - {"authority.key"}


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("authority.key", "broken", "no private key in PEM form without a password. It goes from .* Put it back"),
        ("authority.pem", "broken", "no certificate in PEM form. Put it back from a backup, or take it away"),
        ("gizzi.key", "broken", "no private key .* Put it elsewhere; where a new one is wanted"),
        ("gizzi.pem", "broken", "no certificate in PEM form. Put it elsewhere; where a new one is wanted"),
        ("gizzi.pem", "\xe9", "neither a certificate nor a key in PEM form"),
        ("gizzi.pem", "x" * 70000, "neither a certificate nor a key in PEM form"),
        ("other.pem", "broken", "no certificate in PEM form. Put it elsewhere"),
        ("other.key", "broken", "has no certificate .*other.pem beside it, so it was not made here"),
    ],
)
def test_a_broken_file_is_named_and_nothing_is_written(
    folder: Path, name: str, text: str, said: str, check: bool
) -> None:
    keep(folder)
    (folder / name).write_text(text)
    (folder / name).chmod(0o600)
    before = content(folder)
    with pytest.raises(GizziError, match=f"(?s){folder}/{name} .*{said}"):
        keep(folder, {**HOSTS, "new": ["192.0.2.3"]}, check=check)
    assert content(folder) == before


def test_certificate_and_key_of_somebody_else_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(folder)
    with monkeypatch.context() as patched:
        patched.setattr("ansible_collections.etrid.gizzi.plugins.plugin_utils._authority.MARK", "Some company")
        other = made_authority(new_key(), NOW)
        foreign = made(other, "gizzi", names_of(["192.0.2.1"]), NOW)
    for name, pair, said in (
        ("gizzi", foreign, "gizzi.pem is a certificate that was not made here"),
        ("off", foreign, "off.pem is a certificate that was not made here"),
        ("authority", other, "authority.pem is the certificate of an authority that was not made here"),
    ):
        for end, text in (("pem", pair.certificate_pem()), ("key", pair.key_pem())):
            (folder / f"{name}.{end}").write_text(text)
            (folder / f"{name}.{end}").chmod(0o600)
        before = content(folder)
        with pytest.raises(GizziError, match=said):
            keep(folder)
        assert content(folder) == before
        if name != "authority":
            (folder / f"{name}.pem").unlink()
            (folder / f"{name}.key").unlink()


def test_what_others_can_read_or_change_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(folder)
    for name, mode in (("", 0o750), ("", 0o705), ("authority.key", 0o640), ("gizzi.key", 0o604), ("gizzi.pem", 0o620)):
        path = folder / name
        before = path.stat().st_mode
        path.chmod(mode)
        with pytest.raises(GizziError, match=f"{path} can be read or written by others .* chmod go= {path}"):
            keep(folder)
        path.chmod(before)
    (folder / "gizzi.pem").chmod(0o644)
    assert keep(folder).reasons == {}
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(GizziError, match=rf"gateway belongs to the user with number {me}, and this run to {me + 1}\."):
        keep(folder)


def test_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    folder.parent.mkdir()
    elsewhere = tmp_path / "elsewhere"
    folder.symlink_to(elsewhere)
    for check in (True, False):
        with pytest.raises(GizziError, match=r"gateway is a link\. Write the path of the folder itself"):
            keep(folder, check=check)
    assert not elsewhere.exists()
    folder.unlink()
    keep(folder)
    for name in ("authority.key", "gizzi.key", "gizzi.pem", ".lock"):
        path = folder / name
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
        with pytest.raises(GizziError, match=name.replace(".", r"\.")):
            keep(folder)
        path.unlink()
        elsewhere.rename(path)


@pytest.mark.parametrize("name", ["gizzi.pem", ".lock"])
def test_a_pipe_or_folder_does_not_hold_up_a_run(folder: Path, name: str) -> None:
    keep(folder)
    path = folder / name
    path.unlink()
    os.mkfifo(path, 0o600)
    if name == ".lock":
        keep(folder)
    else:
        with pytest.raises(GizziError, match="cannot be read"):
            keep(folder)
    path.unlink()
    path.mkdir()
    with pytest.raises(GizziError, match=name.replace(".", r"\.")):
        keep(folder)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file/gateway"):
        with pytest.raises(GizziError, match=f"The folder {path} cannot be used"):
            keep(path)
    with pytest.raises(GizziError, match=r"folder is 'gateway'\. Write the whole path"):
        keep(Path("gateway"))


def test_all_wrong_hosts_are_named_at_once(folder: Path) -> None:
    wrong: dict[Any, Any] = {"authority": ["192.0.2.1"], "../a": ["192.0.2.1"], ".a": ["192.0.2.1"], 7: ["192.0.2.1"]}
    wrong |= {"empty": [], "text": "192.0.2.1", "number": [7], "port": ["192.0.2.1:80"], "none": None}
    with pytest.raises(GizziError) as error:
        keep(folder, wrong | HOSTS)
    assert len(str(error.value).splitlines()) == len(wrong)
    for said in (
        "hosts has 'authority'",
        "hosts has '../a'",
        "hosts has 7",
        "hosts.empty is []",
        "hosts.port: '192.0.2",
    ):
        assert said in str(error.value)
    assert not folder.exists()


class CutOffError(BaseException):
    """The end of a run, at a moment that it does not choose."""


STEPS = ("open", "fsync", "rename", "unlink")


def cut(monkeypatch: pytest.MonkeyPatch, after: int) -> list[str]:
    """Cut a run off before a step that writes; return the steps done, which grow."""
    done: list[str] = []
    for name in STEPS:
        real = getattr(os, name)

        def step(*args: Any, _real: Any = real, _name: str = name, **kwargs: Any) -> Any:
            if _name != "open" or args[1] & os.O_EXCL:
                if len(done) == after:
                    raise CutOffError
                done.append(_name)
            return _real(*args, **kwargs)

        monkeypatch.setattr(_authority_folder.os, name, step)
    return done


@pytest.mark.parametrize("before", ["nothing", "an earlier authority", "another host"])
def test_a_run_that_is_cut_off_at_any_step_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    steps = 0
    while True:
        folder = tmp_path / f"gateway{steps}"
        if before != "nothing":
            keep(folder, HOSTS if before == "an earlier authority" else {"off": ["192.0.2.9"]})
        if before == "an earlier authority":
            (folder / "authority.pem").unlink()
            (folder / "authority.key").unlink()
        with monkeypatch.context() as patched:
            cut(patched, steps)
            try:
                keep(folder)
            except CutOffError:
                pass
            else:
                break
        keep(folder, check=True)
        assert_whole(folder, keep(folder))
        steps += 1
    assert steps >= 16


def test_two_runs_at_once_do_not_mix(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda _number: keep(folder), range(8)))
    assert len({one.authority.certificate_pem() for one in kept}) == 1
    assert sorted(len(one.reasons) for one in kept) == [0] * 7 + [3]
    assert_whole(folder, kept[0])


HELD = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_waits_for_the_one_that_is_in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(folder)
    asked: list[int] = []
    real = fcntl.flock

    def flock(file: int, how: int) -> None:
        asked.append(how)
        with pytest.raises(BlockingIOError):
            real(file, how | fcntl.LOCK_NB)
        holder.communicate()
        real(file, how)

    for check in (False, True):
        command = [sys.executable, "-c", HELD, str(folder / ".lock")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout and holder.stdout.readline() == "held\n"
            with monkeypatch.context() as patched:
                patched.setattr(_authority_folder.fcntl, "flock", flock)
                keep(folder, check=check)
    assert asked == [fcntl.LOCK_EX, fcntl.LOCK_SH]
