# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import socket
import ssl
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import (
    RegistryError,
    parse_digest,
    parse_manifest,
    registry_at,
)
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import OtherService, manifest, rewritten, sha256

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeRegistry


def test_manifest_gives_digests_and_sizes(registry: FakeRegistry) -> None:
    digest = registry.publish("mistral:latest", "one", size=1000)
    found = registry_at(f"{registry.url}/").manifest(parse_model_name("mistral"), 1)
    body = manifest("one")
    assert found.digest == digest
    assert found.digests == {sha256(body), sha256(rewritten(body)), sha256(rewritten(body) + b"\n")}
    assert found.size == 1000 + 10 + 5
    assert registry.paths() == ["/v2/library/mistral/manifests/latest"]


def test_layers_that_occur_twice_count_once() -> None:
    document = json.loads(manifest("one"))
    document["layers"].append(document["layers"][0])
    assert parse_manifest(json.dumps(document).encode()).size == 1000 + 10 + 5


def test_content_is_the_same_in_any_serialisation() -> None:
    body = manifest("one")
    document = json.loads(body)
    content = parse_manifest(body).content
    assert content == (document["config"]["digest"], *(layer["digest"] for layer in document["layers"]))
    assert parse_manifest(rewritten(body)).content == content
    assert parse_manifest(changed(layers=document["layers"][::-1])).content != content
    assert parse_manifest(changed(config=document["layers"][0])).content != content


def changed(**parts: Any) -> bytes:
    return json.dumps({**json.loads(manifest("one")), **parts}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Log in</html>",
        b"[]",
        b"{}",
        b'{"errors": []}',
        changed(schemaVersion=1),
        changed(layers=[]),
        changed(layers=None),
        changed(layers=[{"digest": "sha256:00", "size": 1}]),
        changed(config=None),
        changed(config={"digest": "sha256:" + "0" * 64, "size": -1}),
        changed(config={"digest": "sha256:" + "0" * 64, "size": "1"}),
    ],
)
def test_what_is_no_manifest(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"it is not|it lists no|a layer has no|the layer"):
        parse_manifest(body)


def test_unknown_tag_is_named(registry: FakeRegistry) -> None:
    with pytest.raises(RegistryError, match=r"no such model or tag at the registry .*: mistral:7b"):
        registry_at(registry.url).manifest(parse_model_name("mistral:7b"), 1)


def test_page_of_another_service_is_quoted() -> None:
    with closing(OtherService()) as other, pytest.raises(RegistryError, match=r"\(text/html\): it is not JSON"):
        registry_at(other.url).manifest(parse_model_name("mistral"), 1)


def self_signed(directory: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = directory / "server.pem"
    file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_certificate_of_nobody_is_refused(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.publish("mistral:latest", "one")
    registry.wrap(self_signed(tmp_path))
    with pytest.raises(RegistryError, match=r"of another authority .*self.signed certificate"):
        registry_at(registry.url.replace("http:", "https:")).manifest(parse_model_name("mistral"), 2)
    assert registry.requests == []


def test_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(RegistryError, match=r"the name registry\.invalid does not resolve"):
        registry_at("http://registry.invalid").manifest(parse_model_name("mistral"), 1)


def test_digests() -> None:
    assert parse_digest("SHA256:" + "AB" * 32) == "ab" * 32
    with pytest.raises(GizziError, match="64 hex digits"):
        parse_digest("ab" * 31)
