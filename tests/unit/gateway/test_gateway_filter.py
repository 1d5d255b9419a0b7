# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies: what goes on, written anew, and what is refused with which words."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from echoes import Asker, asking
from gateways import BODY, KEEP_ALIVE, OPTIONS, TOKEN
from ollama_client.answer import Question
from ollama_client.wire import request

from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama
from ansible_collections.etrid.gizzi.tests.unit.ollama_client import fake_ollama

GENERATE = "/api/generate"
SCHEMA = {
    "type": "object",
    "properties": {"status": {"enum": ["HEALTHY", None]}, "keep_alive": {"type": "number", "maximum": 1e3}},
    "required": ["status"],
    "__proto__": [[[]], {}, {"": ""}],
}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with asking(tmp_path_factory.mktemp("gateway")) as asker:
        yield asker


def passed(ask: Asker, path: str, body: Any) -> Any:
    """Send a body that has to go on, and return what of it arrived."""
    answer = ask(path, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def refused(ask: Asker, body: Any, path: str = GENERATE, status: int = 400) -> str:
    """Send a body that has to be refused, and return the reason."""
    answer = ask(path, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    return answer.error


def by_hand(ask: Asker, rest: bytes) -> bytes:
    """Send the end of a head, and a body, as they are; return the answer."""
    port = ask.gateway.ollama_port
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        ask.gateway.context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        start = f"POST {GENERATE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n"
        secure.sendall(start.encode() + rest)
        return b"".join(iter(lambda: secure.recv(65536), b""))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (GENERATE, {"model": "a", "prompt": "p", "suffix": "s", "system": "t", "raw": True, "stream": False}),
        (GENERATE, {"model": "a", "format": "json", "images": ["aGk="], "think": "high", "context": [1, 2, 3]}),
        (GENERATE, {"model": "a", "truncate": False, "shift": False, "logprobs": True, "top_logprobs": 3}),
        (GENERATE, {"model": None, "options": None, "keep_alive": None, "format": SCHEMA}),
        (GENERATE, {}),
        (
            "/api/chat",
            {
                "model": "library/llama3.1:8b-instruct_q4",
                "messages": [
                    {"role": "user", "content": "x", "images": []},
                    {
                        "role": "assistant",
                        "thinking": "t",
                        "tool_calls": [{"id": "1", "function": {"index": 0, "name": "f", "arguments": SCHEMA}}],
                    },
                    {"role": "tool", "tool_name": "f", "tool_call_id": "1", "content": "42"},
                ],
                "tools": [TOOL],
                "format": SCHEMA,
                "think": True,
                "options": {
                    "temperature": 0.1,
                    "stop": ["a", "b"],
                    "seed": -1,
                    "mirostat": 2,
                    "penalize_newline": True,
                },
            },
        ),
        ("/api/embed", {"model": "a", "input": ["a", "b"], "truncate": True, "dimensions": 12}),
        ("/api/embed", {"model": "a", "input": "a", "options": {"num_keep": 1}}),
        ("/api/embeddings", {"model": "a", "prompt": "a"}),
        (
            "/v1/chat/completions",
            {
                "model": "a",
                "messages": [
                    {"role": "system", "content": "x", "name": "n"},
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "x"},
                            {"type": "image_url", "image_url": {"url": "data:;base64,aGk="}},
                            {"type": "image_url", "image_url": "data:;base64,aGk="},
                        ],
                    },
                    {
                        "role": "assistant",
                        "content": None,
                        "reasoning": "r",
                        "tool_calls": [
                            {"id": "1", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}}
                        ],
                    },
                ],
                "tools": [TOOL],
                "stream": True,
                "stream_options": {"include_usage": True},
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
                },
                "reasoning": {"effort": "low"},
                "reasoning_effort": "none",
                "max_tokens": 5,
                "stop": "x",
                "top_p": 0.5,
                "logprobs": True,
            },
        ),
        ("/v1/completions", {"model": "a", "prompt": "p", "suffix": "s", "stop": ["x"], "logprobs": 2, "seed": 1}),
        ("/v1/embeddings", {"model": "a", "input": ["a"], "encoding_format": "base64", "dimensions": 3}),
    ],
)
def test_what_the_routes_take_goes_on_as_it_is(ask: Asker, path: str, body: Any) -> None:
    left = {key: value for key, value in body.items() if key != "keep_alive" or value is None}
    assert passed(ask, path, body) == left


def test_what_the_client_and_the_modules_send(ask: Asker) -> None:
    """As they send it today: the server's own context is left out, and all else arrives."""
    options = {"num_ctx": OPTIONS["num_ctx"], "num_predict": 512, "temperature": 0.1}
    for schema in (None, SCHEMA):
        body = request(Question("llama3.1:8b", "Is all well? \ud800\x00 \u2028", "s", schema, options, ()))
        assert passed(ask, GENERATE, body) == body | {"options": {"num_predict": 512, "temperature": 0.1}}
    name = parse_model_name("llama3.1:8b")
    with fake_ollama.running(fake_ollama.say("yes")) as server:
        ollama = Ollama(server.url, 5)
        ollama.load(name, 5, frozenset(["completion"]))
        list(ollama.generate({"model": str(name), "prompt": "Hello", "options": {"num_predict": 8}}, 5))
        server.behave = fake_ollama.status(200, b"{}")
        ollama.load(name, 5, frozenset(["embedding"]))
        ollama.answer({"model": "a", "prompt": "p", "format": "json", "options": {"seed": 1}}, 5)
    assert len(server.asked) == 4
    for one in server.asked:
        assert passed(ask, one["path"], one["body"]) == one["body"]


def test_what_is_the_servers_own_may_be_said_and_is_left_out(ask: Asker) -> None:
    body = {"model": "a", "keep_alive": KEEP_ALIVE, "options": {**OPTIONS, "seed": 1}}
    assert ask(GENERATE, json.dumps(body).encode()).body == b'{"model":"a","options":{"seed":1}}'
    assert ask(GENERATE, b'{"keep_alive": "24h", "options": {"num_ctx": 4096}, "raw": true}').body == (
        b'{"options":{},"raw":true}'
    )


@pytest.mark.parametrize("value", [0, -1, 86400, "0", "", "24H", "5m", "-1", "0s", "24h ", True, 1e999, [], {}])
@pytest.mark.parametrize("path", [GENERATE, "/api/chat", "/api/embed", "/api/embeddings"])
def test_another_keep_alive_is_refused(ask: Asker, path: str, value: Any) -> None:
    reason = refused(ask, {"model": "a", "keep_alive": value}, path)
    assert value == 1e999 or "keep_alive" in reason
    assert KEEP_ALIVE in reason or value == 1e999 or value in ([], {})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"num_ctx": 4097}, '"4096"'),
        ({"num_ctx": 0}, '"4096"'),
        ({"num_ctx": -4096}, '"4096"'),
        ({"num_ctx": 4096.5}, '"4096"'),
        ({"num_ctx": True}, '"4096"'),
        ({"num_ctx": []}, "options.num_ctx is of type list"),
        ({"num_thread": 1}, '"2"'),
        # The server has none of its own.
        ({"num_gpu": 0}, "leave options.num_gpu out."),
        ({"num_gpu": ""}, "leave options.num_gpu out."),
        *(
            ({name: 1}, f'"options.{name}" is not let through')
            for name in ("num_batch", "main_gpu", "use_mmap", "use_mlock", "low_vram", "numa", "f16_kv", "vocab_only")
        ),
        ({"NUM_CTX": 4096}, "not let through"),
        ({"num_predict": "5"}, "options.num_predict is of type string: it must be number"),
        ({"stop": [1]}, "options.stop[] is of type number: it must be string"),
        ({"seed": {}}, "options.seed is of type object: it must be number"),
        ([], "options is of type list: it must be object"),
        ("num_ctx", "options is of type string: it must be object"),
    ],
)
def test_options_that_would_load_the_weights_anew_are_refused(ask: Asker, options: Any, named: str) -> None:
    assert named in refused(ask, {"model": "a", "options": options})


@pytest.mark.parametrize(
    "member",
    [
        '"KEEP_ALIVE": 0',
        '"Keep_Alive": "24h"',
        '"\\u004beep_alive": 0',
        '"\u212aeep_alive": 0',
        '"\\u212aeep_alive": 0',
        '"keep_alive": "24h", "keep_alive": "24h"',
        '"keep_alive": "24h", "KEEP_ALIVE": "24h"',
        '"keep_alive": "24h", "\\u006beep_alive": 0',
        '"keep_alive": null, "keep_alive": 0',
        '"\\u006beep_alive": 0',
        '"keep_alive\\u0000": 0',
        '"keep_alive ": 0',
        '"options": {"num_ctx": 4096}, "options": {"num_ctx": 1}',
        '"options": {"num_ctx": 4096, "num_ctx": 1}',
        '"options": {"num_ctx": 4096, "num\\u005fctx": 1}',
        '"option\u017f": {"num_ctx": 1}',
        '"format": {"a": 1, "a": 2}',
        '"format": {"a": 1, "A": 2}',
        '"format": {"k": {"k": 1}, "\u212a": 2}',
        '"prompt": "a", "Prompt": "b"',
        '"template": "{{ range 1000000000 }}{{ end }}"',
        '"_debug_render_only": true',
        '"width": 1000000',
        '"name": "b"',
        '"__proto__": {}',
        '"constructor": {}',
        '"": 0',
    ],
)
def test_keys_that_ollama_could_read_otherwise_are_refused(ask: Asker, member: str) -> None:
    reason = refused(ask, f'{{"model": "a", {member}}}'.encode())
    assert "The key " in reason or reason.startswith("keep_alive: ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "nul",
        "{",
        '{"model"',
        '{"model":',
        '{"model": "a"',
        '{"model": "a",}',
        '{,"model": "a"}',
        "{model: 1}",
        '{"model": "a"} {}',
        '{"model": "a"}]',
        '{"model": "a"}\x00',
        "{'model': 'a'}",
        '{"model": "a" "raw": true}',
        '{"context": [1,]}',
        '{"context": [,1]}',
        '{"context": [1 2]}',
        '{"context": [1}',
        '{"prompt": "a\nb"}',
        '{"prompt": "\t"}',
        '{"prompt": "\\x"}',
        '{"prompt": "\\u12"}',
        '{"prompt": "\\"}',
        '{"prompt": "a',
        '{"raw": True}',
        '{"raw": tru}',
        '{"raw": truee}',
        '{"raw": nulll}',
        '{"raw": undefined}',
        '/**/{"model": "a"}',
        '\ufeff{"model": "a"}',
        '\u00a0{"model": "a"}',
        '{"model": "a"}\u2028',
        '{"model": "a"}\x0b',
        '{"model"\x0c: "a"}',
        *(
            f'{{"top_logprobs": {number}}}'
            for number in (
                "01",
                "+1",
                ".5",
                "1.",
                "1e",
                "1e+",
                "--1",
                "-",
                "0x10",
                "1_0",
                "NaN",
                "Infinity",
                "-Infinity",
                "1e999",
                "-1e999",
                "1" * 65,
                "1.5.5",
                "1e5e5",
                "1-",
                "\u0661",
            )
        ),
    ],
)
def test_what_is_not_json_is_refused(ask: Asker, text: str) -> None:
    assert "JSON" in refused(ask, text.encode())


@pytest.mark.parametrize("body", [[], "model", 1, None, True, [{"model": "a"}]])
def test_what_is_no_object_is_refused(ask: Asker, body: Any) -> None:
    if body is None:
        # Ollama takes it for an empty object, and says so itself.
        assert passed(ask, GENERATE, body) is None
    else:
        assert "The body is of type" in refused(ask, body)


@pytest.mark.parametrize("tail", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80"])
def test_what_is_not_utf_8_is_refused(ask: Asker, tail: bytes) -> None:
    assert refused(ask, b'{"prompt": "' + tail + b'"}') == "The body is not UTF-8."


def test_text_arrives_byte_for_byte(ask: Asker) -> None:
    for text in (
        '"\\u00e9\u00e9 \\ud83d\\ude00\U0001f600 \\/ \\\\ \\" \\u0000 \\ud800 \x7f \u2028"',
        '""',
        '"\\\\"',
        '"\\\\\\""',
    ):
        for body in (f'{{"prompt":{text}}}', f'{{"format":{{{text}:[{text},{text}]}}}}'):
            assert ask(GENERATE, body.encode()).body.decode() == body


def test_numbers_arrive_as_they_were_written(ask: Asker) -> None:
    body = b'{"context":[0,-0,1,-1,12345678901234567890123,1.50,1e5,1E+05,-1.5e-300,0.1]}'
    assert ask(GENERATE, body).body == body
    assert ask(GENERATE, body.replace(b",", b" ,\r\n\t").replace(b":", b" : ")).body == body


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("llama3.1:8b-cloud", 403),
        ("gpt-oss:120b-CLOUD", 403),
        ("x:cloud", 403),
        ("x:Cloud", 403),
        ("x-cloud", 403),
        ("ns/x:cloud", 403),
        ("x:cloud ", 400),
        ("x:cloud\n", 400),
        ("", 400),
        (" x", 400),
        ("../x", 400),
        ("x\u0131", 400),
        ("x:c\u04cfoud", 400),
        ("x" * 600, 400),
        ("http://host/x", 200),
        ("cloud", 200),
        ("x:clouds", 200),
        ("cloud:8b", 200),
    ],
)
def test_no_model_of_the_cloud(ask: Asker, name: str, status: int) -> None:
    for path in (GENERATE, "/v1/chat/completions"):
        answer = ask(path, json.dumps({"model": name}).encode())
        assert answer.status == status, answer.body
        assert status == 200 or "model" in answer.error


def test_depth_and_number_are_bounded(ask: Asker) -> None:
    def nested(depth: int) -> bytes:
        return b'{"format":{"a":' + b"[" * (depth - 2) + b"]" * (depth - 2) + b"}}"

    assert ask(GENERATE, nested(64)).body == nested(64)
    assert refused(ask, nested(65)) == "The body is nested more than 64 deep."
    assert "nested" in refused(ask, nested(1_000_000))
    assert len(passed(ask, GENERATE, {"context": [1] * 49_998})["context"]) == 49_998
    assert refused(ask, {"context": [1] * 49_999}) == "The body has more than 50000 values."
    assert "values" in refused(ask, {"context": [1] * 1_000_000})
    assert "values" in refused(ask, {"format": {str(number): 1 for number in range(300_000)}})


@pytest.mark.parametrize(
    "prompt",
    ['"' * 1_000_000, "\\" * 1_000_001, "\x00" * 600_000, "\u20ac" * 1_000_000],
    ids=["quotes", "backslashes", "controls", "euros"],
)
def test_long_texts(ask: Asker, prompt: str) -> None:
    body = json.dumps({"prompt": prompt}, ensure_ascii=False, separators=(",", ":")).encode()
    assert ask(GENERATE, body).body == body


def test_what_a_message_shows_of_a_body_is_short(ask: Asker) -> None:
    for body in (b'{"' + b"k" * 3_000_000 + b'": 1}', b'{"keep_alive": "' + b"v" * 3_000_000 + b'"}'):
        assert len(refused(ask, body)) < 300


def test_a_body_in_chunks(ask: Asker) -> None:
    body = json.dumps({"model": "a", "prompt": "x" * 1_000_000}).encode()
    for size in (1_000_000, 4096):
        answer = ask(GENERATE, [body[at : at + size] for at in range(0, len(body), size)])
        assert answer.status == 200
        assert json.loads(answer.body) == json.loads(body)
    harm = b'{"model": "a", "KEEP_ALIVE": 0}'
    answer = ask(GENERATE, [harm[at : at + 1] for at in range(len(harm))])
    assert answer.status == 400
    assert ask(GENERATE, [b"x" * 65536] * (BODY // 65536 + 1)).status == 413


def test_a_body_in_chunks_of_one_byte(ask: Asker) -> None:
    """They do not fit into memory beside the body, and njs reads no body from a file."""
    body = b'{"model": "a", "prompt": "' + b"x" * 1_000_000 + b'"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    answer = by_hand(ask, b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert answer.startswith(b"HTTP/1.1 411 ")
    assert b"Content-Length" in answer


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "identity, gzip"])
def test_a_compressed_body_is_refused(ask: Asker, encoding: str) -> None:
    body = json.dumps({"model": "a"}).encode()
    for sent in (body, gzip.compress(body)):
        answer = ask(GENERATE, sent, {"Content-Encoding": encoding})
        assert answer.status == 415
        assert "Content-Encoding" in answer.error
    assert "UTF-8" in refused(ask, gzip.compress(body))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("", b"400"),
        ("Content-Length: 0\r\n", b"400"),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"400"),
        ("Content-Length: 5\r\nContent-Length: 50\r\n", b"400"),
        ("Content-Length: -1\r\n", b"400"),
        ("Transfer-Encoding: gzip\r\n", b"501"),
        ("Transfer-Encoding: chunked, identity\r\n", b"501"),
    ],
)
def test_a_body_without_a_clear_length_is_refused(ask: Asker, head: str, status: bytes) -> None:
    assert by_hand(ask, f"{head}\r\n0\r\n\r\n".encode()).split(b" ")[1] == status
