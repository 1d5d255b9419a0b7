"""Certificates of the stand-in internet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lab import certificates


def make(directory: Path) -> dict[str, bytes]:
    subprocess.run(
        [sys.executable, "-m", "lab.certificates", directory], check=True, cwd=Path(certificates.__file__).parents[1]
    )
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_good_ones_are_kept_and_bad_ones_replaced(tmp_path: Path) -> None:
    first = make(tmp_path)
    assert set(first) == {"ca.crt", "server.crt", "server.key"}
    assert certificates.still_good(tmp_path)
    assert make(tmp_path) == first
    (tmp_path / "ca.crt").write_bytes(b"")
    assert make(tmp_path)["server.crt"] != first["server.crt"]
    assert certificates.still_good(tmp_path)
