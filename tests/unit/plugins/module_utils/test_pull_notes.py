# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._pull_notes import PullNote, PullNotes

STORE = Path("/var/lib/ollama/models")
ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")
MISTRAL, PHI3 = parse_model_name("mistral"), parse_model_name("phi3:mini")


def test_a_note_is_found_by_the_path_of_its_store(notes: Path) -> None:
    assert PullNotes(STORE).all() == []
    PullNotes(STORE).write(MISTRAL, [TWO, ONE])
    assert PullNotes(STORE).all() == [PullNote("registry.ollama.ai/library/mistral:latest", (ONE, TWO))]
    assert PullNotes(Path("/var/lib/ollama/x/../models/")).all() == PullNotes(STORE).all()
    assert PullNotes(Path("/srv/models")).all() == []
    (file,) = notes.iterdir()
    assert (notes.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_what_is_unchecked_of_a_model() -> None:
    notes = PullNotes(STORE)
    notes.write(MISTRAL, [ONE])
    notes.write(PHI3, [TWO])
    assert notes.unchecked(MISTRAL, []) == {ONE}
    assert notes.unchecked(parse_model_name("Mistral:latest"), []) == {ONE}
    assert notes.unchecked(MISTRAL, [TWO]) == {ONE, TWO}
    assert notes.unchecked(parse_model_name("x"), []) == set()


def test_what_is_forgotten(notes: Path) -> None:
    store = PullNotes(STORE)
    store.write(MISTRAL, [ONE])
    store.write(PHI3, [ONE, TWO])
    store.forget(MISTRAL, [ONE])
    assert [note.blobs for note in store.all()] == [(TWO,)]
    store.forget(MISTRAL, [TWO])
    assert not notes.exists()
    store.forget(MISTRAL, [])


def test_a_later_pull_replaces_the_note() -> None:
    notes = PullNotes(STORE)
    notes.write(MISTRAL, [ONE])
    notes.write(MISTRAL, [TWO])
    assert notes.unchecked(MISTRAL, []) == {TWO}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        json.dumps({"store": str(STORE), "model": "x", "blobs": ["../../etc/passwd"]}),
        json.dumps({"store": str(STORE), "model": "x", "blobs": [1]}),
    ],
)
def test_what_is_no_note_stops_the_run(notes: Path, text: str) -> None:
    notes.mkdir(mode=0o700)
    (notes / "x.json").write_text(text)
    with pytest.raises(GizziError, match=r"x\.json is no note of an unfinished pull: remove it"):
        PullNotes(STORE).all()


def test_links_are_not_followed(notes: Path, tmp_path: Path) -> None:
    notes.mkdir(mode=0o700)
    (tmp_path / "note").write_text(json.dumps({"store": str(STORE), "model": "x", "blobs": []}))
    (notes / "x.json").symlink_to(tmp_path / "note")
    with pytest.raises(GizziError, match="cannot be used"):
        PullNotes(STORE).all()


def test_a_folder_that_others_can_write_is_not_believed(notes: Path) -> None:
    notes.mkdir()
    notes.chmod(0o770)
    for call in (PullNotes(STORE).all, lambda: PullNotes(STORE).write(MISTRAL, [ONE])):
        with pytest.raises(GizziError, match="can be written by others than root"):
            call()
