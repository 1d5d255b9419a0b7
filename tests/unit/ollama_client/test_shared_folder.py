"""Root and the members of a group: what one puts into a shared folder does no harm to another.

The others are real: a process of its own with the user's and the group's number.
"""

from __future__ import annotations

import codecs
import json
import os
import pickle
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSettings
from ollama_client import Answer
from ollama_client import cache as caches
from ollama_client.cache import DiskCache
from ollama_client.cli import usage as usages
from ollama_client.deadline import Deadline
from ollama_client.errors import BudgetError, LedgerError
from ollama_client.folders import settled
from ollama_client.ledger import Ledger

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")
ROOT, ALICE, BOB, GROUP = 0, 61_001, 61_002, 61_000
ANSWER = Answer(text="yes", model="m", endpoint="e", seconds=1.0, tokens_in=1, tokens_out=1, complete=True)
# Other users may not be let to where Python loads this from.
codecs.lookup("ascii")
FORGED = ANSWER.model_copy(update={"text": "HEALTHY"})


def by(user: int, do: Callable[[], Any], seconds: int = 5) -> Any:
    """Return what a function returns in a process of this user, which is ended after so many seconds."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        # As the system does it, whatever Python would do.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        try:
            if user:
                os.setgroups([GROUP])
                os.setresgid(GROUP, GROUP, GROUP)
                os.setresuid(user, user, user)
            result = do()
        except BaseException as error:
            result = type(error)
        os.write(into, pickle.dumps(result))
        os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(told) if told else "hung"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that everybody can enter, and only root can write to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    monkeypatch.setenv("GIZZI_CONFIG", str(folder / "client.toml"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def shared(place: Path) -> Path:
    """A folder of the group, as the role makes the ledger's."""
    folder = place / "shared"
    folder.mkdir()
    os.chown(folder, 0, GROUP)
    folder.chmod(0o2770)
    return folder


@pytest.fixture
def victim(place: Path) -> Path:
    """A file of root's that nobody else may read."""
    file = place / "victim"
    file.write_text("root's")
    file.chmod(0o600)
    return file


def read(folder: Path) -> str | None:
    with DiskCache(folder, 45).slot("key", Deadline(1)) as slot:
        found = slot.read()
    return found.text if found else None


def write(folder: Path, answer: Answer = ANSWER) -> None:
    with DiskCache(folder, 45).slot("key", Deadline(1)) as slot:
        slot.write(answer)


def forge(folder: Path) -> None:
    written = {"boot": caches._boot(), "written": caches.now(), "answer": FORGED.model_dump()}
    (folder / "key.json").write_text(json.dumps(written))


PLANTED: dict[str, Callable[[Path], object]] = {
    "a pipe as the answer": lambda folder: os.mkfifo(folder / "key.json"),
    "a pipe as the lock": lambda folder: os.mkfifo(folder / "key.lock"),
    "an endless answer": lambda folder: (folder / "key.json").symlink_to("/dev/zero"),
    "a link as the lock": lambda folder: (folder / "key.lock").symlink_to(folder.parent / "made"),
    "a link as the draft": lambda folder: (folder / "key.new").symlink_to(folder.parent / "made"),
    "a forged answer": forge,
}


@pytest.mark.parametrize("reader", [ROOT, ALICE])
@pytest.mark.parametrize("planted", list(PLANTED))
def test_nothing_that_a_member_has_put_there_is_read_or_waited_for(shared: Path, planted: str, reader: int) -> None:
    def plant() -> None:
        for folder in (shared, shared / str(reader)):
            folder.mkdir(exist_ok=True)
            PLANTED[planted](folder)

    assert by(BOB, plant) is None
    start = time.monotonic()
    assert by(reader, lambda: read(shared)) is None
    assert by(reader, lambda: write(shared)) is None
    assert by(reader, lambda: read(shared)) is None
    assert time.monotonic() - start < 3
    assert not list(shared.rglob("made"))


@pytest.mark.parametrize("planted", list(PLANTED))
def test_nor_in_a_folder_of_the_readers_own(shared: Path, planted: str) -> None:
    """Whatever a user's own folder came to hold, be it by a mistake."""
    shared.chmod(0o3770)
    assert by(ALICE, lambda: write(shared)) is None
    own = shared / str(ALICE)
    (own / "key.json").unlink()
    (own / "key.lock").unlink()
    PLANTED[planted](own)
    for one in own.iterdir():
        os.chown(one, BOB, GROUP, follow_symlinks=False)
        if one.is_file() and not one.is_symlink():
            one.chmod(0o644)
    assert by(ALICE, lambda: read(shared)) is None
    assert not list(shared.rglob("made"))


def test_members_have_each_their_own_answers(shared: Path) -> None:
    shared.chmod(0o3770)
    assert by(ALICE, lambda: write(shared)) is None
    assert by(ALICE, lambda: read(shared)) == "yes"
    assert by(BOB, lambda: read(shared)) is None
    own = shared / str(ALICE)
    assert by(BOB, lambda: forge(own)) is PermissionError
    assert by(BOB, lambda: str(own.rename(shared / "away"))) is PermissionError


def swaps(folder: Path, victim: Path, write: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that writes, and then puts a link in the place of each file that is new."""
    before = set(folder.rglob("*"))

    def swap(*arguments: Any, **options: Any) -> Any:
        result = write(*arguments, **options)
        for one in set(folder.rglob("*")) - before:
            if "new" in one.name or "prom" in one.name:
                one.unlink()
                one.symlink_to(victim)
        return result

    return swap


def test_a_link_put_in_the_drafts_place_changes_no_mode(
    place: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches.json, "dump", swaps(place, victim, json.dump))
    write(place)
    assert next(place.rglob("key.json")).is_symlink()
    assert (victim.stat().st_mode & 0o777, victim.read_text()) == (0o600, "root's")
    assert read(place) is None


def test_nor_in_that_of_the_file_for_prometheus(place: Path, victim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usages.os, "fdopen", swaps(place, victim, os.fdopen))
    usages._write(place / "gizzi.prom", "gizzi_up 1\n")
    assert (place / "gizzi.prom").is_symlink()
    assert (victim.stat().st_mode & 0o777, victim.read_text()) == (0o600, "root's")


def ledger(settings: MakeSettings, folder: Path, **more: Any) -> Ledger:
    return Ledger(settings(ledger={"folder": str(folder), **more}, claude={"budget": 1.0}))


def test_no_ledger_of_anothers_is_used(shared: Path, settings: MakeSettings) -> None:
    """SQLite opens by path: whoever could put something else there may be nobody but the user."""
    shared.chmod(0o3770)
    target = shared / "made"

    def plant() -> None:
        (shared / str(ALICE)).mkdir(mode=0o777)
        (shared / str(ALICE) / "ledger.db").symlink_to(target)

    assert by(BOB, plant) is None
    assert by(ALICE, lambda: ledger(settings, shared).usage()) is LedgerError
    assert not target.exists()


def test_nor_one_that_another_could_put_in_its_place(shared: Path, settings: MakeSettings) -> None:
    """Without the sticky bit a member can move what is not theirs."""
    assert by(ALICE, lambda: ledger(settings, shared).reserve(0.5)) is LedgerError
    shared.chmod(0o3770)
    assert by(ALICE, lambda: ledger(settings, shared).reserve(0.5)) == 1
    assert by(BOB, lambda: str((shared / str(ALICE)).rename(shared / "away"))) is PermissionError
    assert by(BOB, lambda: list((shared / str(ALICE)).iterdir())) is PermissionError


def test_root_uses_no_folder_of_the_groups_and_says_which_setting_helps(shared: Path, settings: MakeSettings) -> None:
    with pytest.raises(LedgerError, match="others than root can change") as caught:
        ledger(settings, shared).usage()
    assert "ledger.root_folder" in (caught.value.hint or "")


def test_each_user_has_a_days_budget(place: Path, shared: Path, settings: MakeSettings) -> None:
    shared.chmod(0o3770)

    def reserve() -> int:
        return ledger(settings, shared, root_folder=str(place / "roots")).reserve(0.8)

    for user in (ALICE, BOB, ROOT):
        assert by(user, reserve) == 1
        assert by(user, reserve) is BudgetError
    assert (place / "roots").stat().st_mode & 0o777 == 0o700


def test_root_goes_only_where_nobody_else_can_change_the_way(place: Path) -> None:
    (place / "to").symlink_to("real/./deep")
    (place / "real").mkdir()
    assert settled(place / "to/new") == place / "real/deep/new"
    theirs = place / "theirs"
    theirs.mkdir()
    os.chown(theirs, ALICE, GROUP)
    (theirs / "link").symlink_to(place / "real")
    for wrong in (theirs, theirs / "below", theirs / "link", theirs / "../real"):
        with pytest.raises(PermissionError):
            settled(wrong)
    assert not (theirs / "below").exists()


def test_root_follows_as_many_links_as_linux(place: Path) -> None:
    (place / "real").mkdir()
    (place / "link0").symlink_to("real")
    for number in range(1, 41):
        (place / f"link{number}").symlink_to(f"link{number - 1}")
    (place / "around").symlink_to("around")
    assert settled(place / "link39") == place / "real"
    # In a process of its own, which is ended if it never ends.
    for wrong in ("link40", "around"):
        assert by(ROOT, lambda wrong=wrong: settled(place / wrong)) is PermissionError  # type: ignore[misc]


def test_what_others_have_put_into_a_folder_for_everybody_is_not_roots(place: Path) -> None:
    place.chmod(0o1777)
    assert settled(place / "roots") == place / "roots"
    assert by(BOB, lambda: (place / "link").symlink_to("/etc")) is None
    assert by(BOB, (place / "folder").mkdir) is None
    for wrong in (place, place / "link", place / "link/x", place / "folder", place / "folder/x"):
        with pytest.raises(PermissionError):
            settled(wrong)
    place.chmod(0o777)
    with pytest.raises(PermissionError):
        settled(place / "roots")
