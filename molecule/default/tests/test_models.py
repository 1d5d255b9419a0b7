"""Models from a real registry: tags that move, pulls that fail, and a store that stays sound all the while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

from lab import registry
from lab.ollama import MODEL, STORE
from lab.server import Server

Requests = Callable[[], list[dict[str, Any]]]

KEPT = "kept:old"
DERIVED = "etrid-validator:latest"


def model(server: Server, check: bool = False, **options: object) -> dict[str, Any]:
    """Run the module on the host, as a task would, and return its result."""
    arguments = " ".join(f"{key}={value}" for key, value in ({"name": MODEL} | options).items())
    result = dict(server.host.ansible("etrid.gizzi.ollama_model", arguments, check=check, become=True))
    assert "model" in result, result["msg"]
    return result


def refusal(server: Server, **options: object) -> str:
    """Run the module where it must fail, and return its reason."""
    with pytest.raises(AssertionError) as failure:
        model(server, **options)
    return str(failure.value)


@pytest.fixture
def moved_tag(internet: Host) -> Iterator[str]:
    """Move the tag at the registry, and give its new digest."""
    with registry.moved(internet, "next") as digest:
        yield digest


def test_nothing_to_do_costs_one_small_request(server: Server, requests: Requests) -> None:
    result = model(server, state="latest")
    assert (result["changed"], result["pulled"], result["bytes_pulled"]) == (False, False, 0)
    assert [(line["method"], line["path"].rsplit("/", 1)[1]) for line in requests()] == [("GET", "135m")]

    assert not model(server)["changed"]
    assert requests() == []


def test_tag_moves(server: Server, requests: Requests, moved_tag: str) -> None:
    before = server.digest()
    assert not model(server, state="present")["changed"]

    predicted = model(server, check=True, state="latest")
    assert (predicted["changed"], predicted["pulled"], predicted["digest_after"]) == (True, False, moved_tag)
    assert server.digest() == before
    assert not [line for line in requests() if "/blobs/" in line["path"] or line["path"].startswith("/sha256-")]

    pulled = model(server, state="latest")
    assert (pulled["changed"], pulled["digest_before"], pulled["digest_after"]) == (True, before, moved_tag)
    assert server.digest() == moved_tag
    assert not model(server, state="latest")["changed"]
    assert server.ask()


def test_tag_moves_back(server: Server, internet: Host) -> None:
    assert model(server, state="latest")["changed"]
    assert server.digest() == registry.digest(internet)


def test_names(server: Server) -> None:
    """No tag is latest, and a prefix is not the model."""
    assert model(server, name="phi3:mini")["changed"]
    assert server.digest("phi3:latest") is None
    assert model(server, name="phi3")["changed"]
    assert server.digest("phi3:latest") != server.digest("phi3:mini")
    assert model(server, name="mistral")["changed"]
    assert not model(server, name="mistral:latest")["changed"]
    for name in ("phi3", "phi3:mini", "mistral"):
        assert model(server, name=name, state="absent")["changed"]
        assert not model(server, name=name, state="absent")["changed"]
    assert server.digest() is not None


def test_damaged_weights_are_pulled_again(server: Server) -> None:
    """Ollama itself takes them as they are: it never checks a blob again that is there."""
    digest, weights = server.digest(), server.host.check_output("find %s/blobs -size +100M", STORE)
    server.host.check_output(
        "python3 -c %s %s",
        "import sys; file = open(sys.argv[1], 'r+b'); file.seek(10**6); byte = file.read(1)[0]; file.seek(10**6); "
        "file.write(bytes([byte ^ 1]))",
        weights,
    )
    assert not model(server, state="latest")["changed"]

    mended = model(server, state="latest", models_dir=STORE, verify_blobs=True)
    assert (mended["changed"], mended["pulled"], server.digest()) == (True, True, digest)
    assert server.host.file(weights).sha256sum == weights.rpartition("-")[2]
    assert not model(server, state="latest", models_dir=STORE, verify_blobs=True)["changed"]


def test_check_mode_does_not_remove(server: Server) -> None:
    assert model(server, check=True, state="absent")["changed"]
    assert server.digest() is not None


@pytest.fixture(scope="module")
def old_weights(server: Server, internet: Host) -> str:
    """Keep a model whose weights the registry does not have under the usual name, and give its digest.

    The lab's models share their weights: with this one in its place, the registry's must be pulled in full.
    """
    server.api("/api/delete", {"model": DERIVED}, "--request", "DELETE")
    with registry.moved(internet, "newer") as digest:
        model(server, state="latest")
    server.api("/api/copy", {"source": MODEL, "destination": KEPT})
    assert server.digest(KEPT) == digest
    return digest


@pytest.fixture
def old_model(server: Server, old_weights: str) -> str:
    """Put the model with the old weights under the usual name, and the others' weights out of the store."""
    server.api("/api/delete", {"model": MODEL}, "--request", "DELETE")
    server.api("/api/copy", {"source": KEPT, "destination": MODEL})
    assert len(server.host.check_output("find %s/blobs -size +100M -not -name '*-partial*'", STORE).splitlines()) == 1
    return old_weights


def test_full_disk_is_seen_before_the_first_byte(server: Server, requests: Requests, old_model: str) -> None:
    reason = refusal(server, state="latest", models_dir=STORE, reserved_disk=10**15)
    assert "270.9 MB are still to be pulled" in reason
    assert "1000.0 TB must stay free" in reason
    assert not [line for line in requests() if "/blobs/" in line["path"] or line["path"].startswith("/sha256-")]
    assert server.digest() == old_model


@pytest.mark.parametrize(("fault", "reason"), [("manifest-500", "500"), ("manifest-garbage", "manifest")])
def test_registry_without_a_manifest(server: Server, internet: Host, old_model: str, fault: str, reason: str) -> None:
    """Nothing is pulled, so that there is nothing to recover from."""
    with registry.fault(internet, fault):
        assert reason in refusal(server, state="latest", models_dir=STORE, stall_timeout=10)
    assert server.digest() == old_model


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("error-500", "500"),
        ("truncate", "no progress"),
        ("stall", "no progress"),
        ("wrong-digest", "digest mismatch"),
    ],
)
def test_failed_pull(server: Server, internet: Host, old_model: str, fault: str, reason: str) -> None:
    """It fails with the reason, the model that was there still answers, and another run recovers."""
    with registry.fault(internet, fault):
        said = refusal(server, state="latest", models_dir=STORE, stall_timeout=10)
    assert reason in said
    assert server.digest() == old_model
    assert server.ask()

    recovered = model(server, state="latest", models_dir=STORE)
    assert recovered["changed"]
    assert server.digest() == registry.digest(internet)
    assert server.host.run("ls -A /var/lib/gizzi-ollama-pulls").stdout == ""


def test_recovered_model_answers_without_the_old_one(server: Server, converge: Callable[..., str]) -> None:
    assert model(server, name=KEPT, state="absent")["changed"]
    assert server.digest(KEPT) is None
    assert server.ask()
    # What was made from the recovered model is all that the role misses.
    assert " changed=1 " in converge()
    assert server.digest(DERIVED) is not None
