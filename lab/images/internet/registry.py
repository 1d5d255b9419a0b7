"""The part of the stand-in registry that a plain web server cannot do.

It sends manifests with their digest in a header. It makes errors while the
file /run/lab/registry-fault has one of these words:

    manifest-500      a request for a manifest gets status 500
    manifest-garbage  a request for a manifest gets status 200 and a web page
    error-500         the registry sends the manifest, and status 500 for its blobs
    truncate          the connection is closed in the middle of the weights
    stall             the weights stop in the middle, the connection stays open
    wrong-digest      the weights have the right length, but wrong bytes
    wrong-layers      every blob has the right length, but wrong bytes: Ollama 0.9
                      refuses the weights only, and after a second pull reports
                      success for a model that it cannot read

nginx always asks here for manifests; for blobs only while that file exists.
"""

from __future__ import annotations

import hashlib
import re
import select
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FAULT = Path("/run/lab/registry-fault")
MANIFESTS = Path("/srv/manifests")
BLOBS = Path("/srv/lab/registry/blobs")
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CHUNK = 1 << 20
BLOB_FAULTS = {"truncate", "stall", "wrong-digest", "wrong-layers"}


def fault() -> str:
    """Return the fault that is set now, or ""."""
    try:
        return FAULT.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def wanted_range(header: str | None, size: int) -> tuple[int, int]:
    """Return the first and last byte of a Range header, or of the whole file without one."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", header or "")
    if match is None:
        return 0, size - 1
    last = int(match[2]) if match[2] else size - 1
    return int(match[1]), min(last, size - 1)


class Registry(BaseHTTPRequestHandler):
    """One request; nginx has checked the form of its path."""

    def do_HEAD(self) -> None:
        """Send the answer of GET without the body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Send a manifest, a blob of the registry or a blob of the blob host."""
        if self.path.startswith("/v2/") and "/manifests/" in self.path:
            self.manifest()
        elif fault() == "error-500" and self.path.startswith("/v2/"):
            self.answer(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", b"the lab's fault\n")
        elif self.path.startswith("/sha256-") and fault() in BLOB_FAULTS:
            self.blob(fault())
        else:
            self.let_nginx_answer()

    def manifest(self) -> None:
        """Send a manifest with its digest, or the answer of the fault."""
        # /v2/<namespace>/<model>/manifests/<tag>
        parts = self.path.split("/")
        path = MANIFESTS / parts[2] / parts[3] / parts[5]
        if fault() == "manifest-500":
            self.answer(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", b"the lab's fault\n")
        elif fault() == "manifest-garbage":
            self.answer(HTTPStatus.OK, "text/html", b"<html><body>Log in first</body></html>\n")
        elif path.is_file():
            body = path.read_bytes()
            self.answer(HTTPStatus.OK, MANIFEST_TYPE, body, hashlib.sha256(body).hexdigest())
        else:
            body = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'
            self.answer(HTTPStatus.NOT_FOUND, "application/json", body)

    def answer(self, status: HTTPStatus, kind: str, body: bytes, digest: str = "") -> None:
        """Send one small answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if digest:
            self.send_header("Docker-Content-Digest", f"sha256:{digest}")
            self.send_header("Ollama-Content-Digest", digest)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def let_nginx_answer(self) -> None:
        """Give the request back to nginx: no fault applies."""
        digest = self.path.rsplit("/", 1)[1].replace(":", "-")
        self.send_response(HTTPStatus.OK)
        self.send_header("X-Accel-Redirect", f"/healthy/{digest}")
        self.end_headers()

    def blob(self, word: str) -> None:
        """Announce the whole blob or the requested range, then send what the fault allows."""
        with (BLOBS / self.path.lstrip("/")).open("rb") as blob:
            size = blob.seek(0, 2)
            if size <= CHUNK and word != "wrong-layers":
                self.let_nginx_answer()
                return
            first, last = wanted_range(self.headers["Range"], size)
            status = HTTPStatus.PARTIAL_CONTENT if self.headers["Range"] else HTTPStatus.OK
            self.send_response(status)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(last - first + 1))
            self.send_header("Accept-Ranges", "bytes")
            if status is HTTPStatus.PARTIAL_CONTENT:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.end_headers()
            if self.command == "HEAD":
                return
            # The data ends in the middle of the blob, also if the client resumes a download.
            end = min(last + 1, size // 2) if word in {"truncate", "stall"} else last + 1
            blob.seek(first)
            while first < end:
                data = blob.read(min(CHUNK, end - first))
                first += len(data)
                if word in {"wrong-digest", "wrong-layers"}:
                    data = bytes([data[0] ^ 0xFF]) + data[1:]
                self.wfile.write(data)
            self.wfile.flush()
            while word == "stall" and fault() == "stall" and not self.client_is_gone():
                continue

    def client_is_gone(self) -> bool:
        """Wait 0.5 s for the client to close the connection; it sends nothing else."""
        return bool(select.select([self.connection], [], [], 0.5)[0])

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: nginx writes the log."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 8081), Registry).serve_forever()
