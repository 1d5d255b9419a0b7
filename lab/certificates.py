"""TLS certificates for the names of the stand-in internet.

``python -m lab.certificates DIRECTORY`` writes ca.crt, server.crt and server.key there, unless valid ones exist.
The authority's key is deleted after it has signed, so nobody can sign anything else with it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

# The real names, and two names of the lab: the registry's blob host and the Python index.
NAMES = (
    "github.com",
    "release-assets.githubusercontent.com",
    "ollama.com",
    "registry.ollama.ai",
    "blobs.registry.lab",
    "internet",
)
DAYS = 90
DAY = 86400


def openssl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run openssl and capture its output."""
    return subprocess.run(["openssl", *arguments], check=False, capture_output=True, text=True)


def must(*arguments: str) -> None:
    """Run openssl; if it fails, exit with its message."""
    result = openssl(*arguments)
    if result.returncode != 0:
        sys.exit(f"lab: openssl {arguments[0]}: {result.stderr.strip()}")


def still_good(directory: Path) -> bool:
    """Return whether this authority's certificate covers every name and is valid for another day."""
    server = str(directory / "server.crt")
    if not (directory / "server.key").is_file():
        return False
    verified = openssl("verify", "-CAfile", str(directory / "ca.crt"), server)
    lasting = openssl("x509", "-in", server, "-noout", "-checkend", str(DAY))
    names = openssl("x509", "-in", server, "-noout", "-ext", "subjectAltName")
    covered = {name.strip() for name in names.stdout.replace("\n", ",").split(",")}
    return verified.returncode == 0 and lasting.returncode == 0 and {f"DNS:{name}" for name in NAMES} <= covered


def make(directory: Path) -> None:
    """Make an authority and a server certificate in ``directory``."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        work = Path(scratch)
        extensions = work / "extensions"
        names = ",".join(f"DNS:{name}" for name in NAMES)
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n", "ascii")
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        must(
            *["req", "-x509", *new_key, "-days", str(DAYS), "-subj", "/CN=Etrid Gizzi lab"],
            *["-addext", "keyUsage=critical,keyCertSign"],
            *["-keyout", str(work / "ca.key"), "-out", str(work / "ca.crt")],
        )
        must(
            *["req", "-new", *new_key, "-subj", f"/CN={NAMES[0]}"],
            *["-keyout", str(work / "server.key"), "-out", str(work / "server.csr")],
        )
        must(
            *["x509", "-req", "-in", str(work / "server.csr"), "-days", str(DAYS)],
            *["-CA", str(work / "ca.crt"), "-CAkey", str(work / "ca.key"), "-CAcreateserial"],
            *["-extfile", str(extensions), "-out", str(work / "server.crt")],
        )
        for name in ("ca.crt", "server.key", "server.crt"):
            (work / name).replace(directory / name)


def main() -> int:
    """Make the certificates unless valid ones exist."""
    if len(sys.argv) != 2:
        print("usage: python -m lab.certificates DIRECTORY", file=sys.stderr)
        return 2
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    if not still_good(directory):
        make(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
