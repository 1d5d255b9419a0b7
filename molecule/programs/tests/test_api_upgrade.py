"""The collection itself: from its release to one with a renamed variable, a changed unit and a new file, and back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from conftest import started
from testinfra.host import Host

from lab.network import statuses
from lab.testing import Lab

CONVERGE = "molecule/programs/api.yml"
UNIT = "/etc/systemd/system/gizzi-api.service"
NEW = "/etc/gizzi/api.notes"
GALAXY = ("ansible-galaxy", "collection")
# What the next release has for another name.
OLD_NAME, NEW_NAME = "gizzi_api_start_timeout", "gizzi_api_ready_timeout"
# Of the first release's manifest, what the next one's has too.
KEPT = ("namespace", "name", "readme", "authors", "description", "license_file", "tags", "dependencies")


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def archive(project: Path, folder: Path) -> Path:
    """Build the collection of a checkout, as its maintainers do."""
    folder.mkdir()
    run(*GALAXY, "build", "--output-path", folder, project)
    (found,) = folder.glob("etrid-gizzi-*.tar.gz")
    return found


def next_release(released: Path, folder: Path) -> Path:
    """Return the sources of a release 1.1.0 that differs from the released one in three ways."""
    folder.mkdir()
    run("tar", "--extract", "--file", released, "--directory", folder)
    manifest = json.loads((folder / "MANIFEST.json").read_text())["collection_info"]
    (folder / "galaxy.yml").write_text(yaml.safe_dump({key: manifest[key] for key in KEPT} | {"version": "1.1.0"}))
    for name in ("MANIFEST.json", "FILES.json"):
        (folder / name).unlink()
    role = folder / "roles/gizzi_api"
    rules = folder / "plugins/module_utils/_settings/gizzi_api.py"
    for path in (role / "meta/argument_specs.yml", role / "tasks/deploy.yml", role / "tasks/answer.yml", rules):
        replace(path, "start_timeout", "ready_timeout")
    replace(role / "templates/gizzi-api.service.j2", "[Service]\n", "[Service]\nNice=5\n")
    before = '  - {path: "{{ __gizzi_api.config_dir }}", kind: folder}\n'
    replace(role / "vars/main.yml", before, f"{before}  - {{path: {NEW}, content: of the next release}}\n")
    return folder


def replace(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text, path
    path.write_text(text.replace(before, after))


@dataclass(frozen=True)
class Releases:
    """The archives of two releases, and the folder in which the collection is installed."""

    first: Path
    second: Path
    collections: Path

    def install(self, one: Path) -> str:
        """Install a release as ``docs/production.md`` has it, and return the version that is there then."""
        run(*GALAXY, "install", "--offline", "--force", "--collections-path", self.collections, one)
        # Its "list" names the same collection in every folder of this machine, the first by the alphabet first.
        manifest = self.collections / "ansible_collections/etrid/gizzi/MANIFEST.json"
        return str(json.loads(manifest.read_text())["collection_info"]["version"])


@pytest.fixture(scope="module")
def releases(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Releases]:
    folder = tmp_path_factory.mktemp("releases")
    first = archive(lab.project, folder / "first")
    second = archive(next_release(first, folder / "sources"), folder / "second")
    yield Releases(first, second, folder / "collections")
    shutil.rmtree(folder)


def state(gizzi: Host) -> str:
    """Return what the role has brought, and how the service runs."""
    look = f"sha256sum {UNIT} /etc/gizzi/*; ls -l /etc/gizzi; cat /var/lib/gizzi-files/gizzi-api.json"
    return gizzi.check_output(f"{look}; readlink /opt/gizzi-api/current; systemctl show --property=Nice gizzi-api")


def test_the_collection_is_upgraded_and_goes_back(lab: Lab, gizzi: Host, releases: Releases) -> None:
    def converge(*, fails: bool = False, **variables: object) -> tuple[str, int]:
        """Run the role of the installed release; return what it printed, and how many tasks have changed something."""
        result = lab.playbook(CONVERGE, "-vv", variables=variables, collections=releases.collections)
        printed = result.stdout + result.stderr
        assert (result.returncode != 0) is fails, printed
        assert set(re.findall(r"task path: (.*)/ansible_collections/", printed)) <= {str(releases.collections)}
        (changed,) = re.findall(r"^validator01 +: ok=\d+ +changed=(\d+)", result.stdout, re.MULTILINE)
        return " ".join(printed.split()), int(changed)

    assert releases.install(releases.first) == "1.0.0"
    converge()
    assert converge(**{OLD_NAME: 91})[1] == 0
    before, starts = state(gizzi), started(gizzi)

    # The earlier name is refused, with the new one, before anything is changed.
    assert releases.install(releases.second) == "1.1.0"
    printed, changed = converge(fails=True, **{OLD_NAME: 91})
    assert f"{OLD_NAME} is not known, and would do nothing. Do you mean {NEW_NAME}" in printed
    assert (changed, state(gizzi), started(gizzi)) == (0, before, starts)

    # The new file comes, and the unit changes with one restart.
    converge(**{NEW_NAME: 91})
    assert gizzi.file(NEW).content_string == "of the next release"
    assert "Nice=5" in state(gizzi)
    assert started(gizzi) == starts + 1
    assert converge(**{NEW_NAME: 91})[1] == 0

    # And back: what only the next release had is gone.
    assert releases.install(releases.first) == "1.0.0"
    converge(**{OLD_NAME: 91})
    assert not gizzi.file(NEW).exists
    assert (state(gizzi), started(gizzi)) == (before, starts + 2)
    assert converge()[1] == 0
    assert set(statuses(gizzi).values()) == {"healthy"}
