# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the list of the Python packages that the collection's programs install (CycloneDX 1.6, JSON)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path

import yaml
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from publishing.archive import PublishingError, seconds


def programs(source: Path) -> list[Path]:
    """The folders of the programs: those of the roles that pin packages. PublishingError where there is none."""
    found = sorted(file.parent for file in source.glob("roles/*/files/*/requirements.txt"))
    if not found:
        raise PublishingError(f"No roles/*/files/*/requirements.txt below {source}: give the collection's folder.")
    return found


def pinned(program: Path) -> list[Component]:
    """The packages that a program pins, each with version, package URL and checksums."""
    command = [
        "cyclonedx-py",
        "requirements",
        "--output-reproducible",
        "--no-validate",
        str(program / "requirements.txt"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise PublishingError(f"cyclonedx-py cannot read {command[-1]}: {result.stderr.strip()}")
    components: list[Component] = sorted(Bom.from_json(json.loads(result.stdout)).components, key=lambda c: c.name)
    for component in components:
        component.description = None  # the line of requirements.txt, which is told here already
        component.bom_ref.value = str(component.purl)
    return components


def version_of(program: Path, collection: str) -> str:
    """The program's own version; the collection's where it has none."""
    project = program / "pyproject.toml"
    return str(tomllib.loads(project.read_text())["project"]["version"]) if project.exists() else collection


def bom_of(source: Path, epoch: int) -> Bom:
    """The collection, its programs, and what each of them pins."""
    galaxy = yaml.safe_load((source / "galaxy.yml").read_text())
    name, version = f"{galaxy['namespace']}.{galaxy['name']}", str(galaxy["version"])
    root = Component(
        type=ComponentType.APPLICATION,
        name=name,
        version=version,
        bom_ref=f"{name}@{version}",
        purl=PackageURL("generic", galaxy["namespace"], galaxy["name"], version),
    )
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{galaxy['repository']}#{version}-{epoch}"))
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    bom.metadata.component = root
    known: dict[str, Component] = {}
    parts = []
    for folder in programs(source):
        part_version = version_of(folder, version)
        part = Component(
            type=ComponentType.APPLICATION,
            name=folder.name,
            version=part_version,
            bom_ref=f"{folder.name}@{part_version}",
        )
        packages = [known.setdefault(str(package.purl), package) for package in pinned(folder)]
        bom.components.add(part)
        bom.components.update(packages)
        bom.register_dependency(part, packages)
        parts.append(part)
    bom.register_dependency(root, parts)
    return bom


def main() -> None:
    """``sbom.py SOURCE FILE``."""
    try:
        source, target = Path(sys.argv[1]), Path(sys.argv[2])
        text = JsonV1Dot6(bom_of(source, seconds(os.environ.get("SOURCE_DATE_EPOCH")))).output_as_string(indent=1)
        problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        if problem:
            raise PublishingError(f"The list of packages is not CycloneDX: {problem}")
        target.write_text(text + "\n")
    except PublishingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
