# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing passes that changes the server, whatever is sent; and what is sound passes as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import go_reading
import pytest
from echoes import Asker, asking
from gateways import KEEP_ALIVE, OPTIONS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# The same questions in every run.
FUZZ = settings(
    max_examples=600,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

SAMPLING = ("seed", "temperature", "top_p", "num_predict", "repeat_penalty", "mirostat_eta")
ROUTES = ("/api/generate", "/api/chat", "/api/embed", "/api/embeddings", "/v1/chat/completions", "/v1/completions")

text = st.text(max_size=12)
number = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
names = st.from_regex(r"[a-z0-9_]{1,8}(:[0-9]b)?", fullmatch=True)
# Keys that differ in more than case.
keys = st.dictionaries(text.filter(lambda key: go_reading.folded(key) == key), st.none(), max_size=3)
free = st.recursive(
    st.none() | st.booleans() | number | text,
    lambda inner: (
        st.lists(inner, max_size=3) | keys.flatmap(lambda some: st.fixed_dictionaries(dict.fromkeys(some, inner)))
    ),
    max_leaves=8,
)
schema = st.fixed_dictionaries({}, optional={"type": text, "properties": free, "$defs": free, "keep_alive": free})
options = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(SAMPLING, number),
        "stop": st.lists(text, max_size=2),
        **{name: st.sampled_from([value, None]) for name, value in OPTIONS.items()},
    },
)
own = {"keep_alive": st.sampled_from([KEEP_ALIVE, None]), "options": options}
tools = st.lists(
    st.fixed_dictionaries({"type": text, "function": st.fixed_dictionaries({"name": text, "parameters": schema})}),
    max_size=2,
)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": text}), min_size=1, max_size=3
)
SOUND = {
    "/api/generate": {"prompt": text, "system": text, "format": text | schema, "think": st.booleans() | text, **own},
    "/api/chat": {"messages": messages, "tools": tools, "format": schema, "stream": st.booleans(), **own},
    "/api/embed": {"input": text | st.lists(text, max_size=3), "truncate": st.booleans(), **own},
    "/api/embeddings": {"prompt": text, **own},
    "/v1/chat/completions": {"messages": messages, "tools": tools, "stream": st.booleans(), "top_p": number},
    "/v1/completions": {"prompt": text, "max_tokens": number, "stop": text | st.lists(text, max_size=2)},
}
sound = st.sampled_from(ROUTES).flatmap(
    lambda path: st.tuples(st.just(path), st.fixed_dictionaries({"model": names}, optional=SOUND[path]))
)

# What one who means harm writes into a body that is sound.
HARM = [
    *("keep_alive", "KEEP_ALIVE", "Keep_alive", "\u212aeep_alive", "keep_al\u0131ve", "keep_alive ", "KeepAlive"),
    *("options", "Options", "option\u017f", "template", "Template", "_debug_render_only", "width", "name", "__proto__"),
    *("num_ctx", "NUM_CTX", "num_thread", "num_gpu", "num_batch", "use_mmap", "numa", "main_gpu"),
]
VALUES = [
    *("0", "-1", "null", "true", '"0"', '"24h"', "4096", '"4096"', "4096.0", "4.096e3", "{}", "[]", '""'),
    *(
        '{"num_ctx":1}',
        '{"num_ctx":4096}',
        '{"NUM_CTX":1,"num_ctx":2}',
        '{"num_ctx":4096,"num_ctx":1}',
        '{"numa":true}',
    ),
]
NUMBERS = ["01", "+1", "1.", ".5", "1e999", "-1e999", "NaN", "Infinity", "0x10", '"1"', "1_0", "--1", "1e", "\u0661"]
MODELS = ["x:cloud", "x-CLOUD", "x:8b-cloud", "ns/x:Cloud", "x:cloud\n", "x:cloud ", "\u212a", ""]
PIECES = [
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\\",
        b"\\u006b",
        b"\x00",
        b"\n",
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
    ),
    *(
        b"\xef\xbb\xbf",
        b"\xe2\x84\xaa",
        b'"}',
        b',"keep_alive":0',
        b"/*",
        b"0",
        b"e9",
        b" " * 70000,
        b"\\" * 3,
        b"[" * 70,
    ),
]
STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def escaped(key: str, which: set[int]) -> str:
    """Write a key in JSON, the letters of these places as escapes."""
    written = [f"\\u{ord(one):04X}" if place in which else json.dumps(one)[1:-1] for place, one in enumerate(key)]
    return f'"{"".join(written)}"'


def harmed(draw: st.DrawFn, words: list[str]) -> None:
    """Change the words of a body at one place."""
    opened = [place for place, word in enumerate(words) if word == "{"]
    named = [place for place, word in enumerate(words[:-1]) if words[place + 1] == ":" and word[0] == '"']
    way = draw(st.sampled_from(["member", "option", "twin", "number", "model", "case"]))
    if way == "twin":
        # Beside the other one; null is of every type.
        place = draw(st.sampled_from(named))
        twin = json.loads(words[place])
        key = draw(st.sampled_from([twin, twin.upper(), twin.capitalize(), twin.replace("k", "\u212a")]))
        words[place:place] = [escaped(key, draw(st.sets(st.integers(0, 6), max_size=1))), ":", "null", ","]
    elif way in ("member", "option"):
        options = [place for place in opened if words[place - 2 : place] == ['"options"', ":"]]
        place = draw(st.sampled_from(options if options and way == "option" else opened))
        key = draw(st.sampled_from(sorted(go_reading.RUNNER) if way == "option" else HARM))
        value = draw(st.sampled_from(["0", "1", "true"] if way == "option" else VALUES))
        members = [escaped(key, draw(st.sets(st.integers(0, 6), max_size=2))), ":", value]
        if way == "option" and not options:
            place, members = opened[0], ['"options"', ":", "{", *members, "}"]
        words[place + 1 : place + 1] = members if words[place + 1] == "}" else [*members, ","]
    else:
        values = [place for place in range(2, len(words)) if words[place - 1] == ":"]
        if way == "number":
            digits = [place for place in values if words[place][0] in "-0123456789"]
            words[draw(st.sampled_from(digits or values))] = draw(st.sampled_from(NUMBERS))
        elif way == "model" and '"model"' in words:
            words[words.index('"model"') + 2] = json.dumps(draw(st.sampled_from(MODELS)))
        else:
            place = draw(st.sampled_from(named))
            words[place] = words[place].swapcase()


@st.composite
def attacks(draw: st.DrawFn) -> tuple[str, bytes]:
    """A sound body with members, values and bytes at places where they do harm."""
    path, body = draw(sound)
    words = STRUCTURE.findall(json.dumps({"model": "a", **body}))
    for _turn in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        harmed(draw, words)
    data = "".join(words).encode("utf-8", "surrogatepass")
    for _turn in range(draw(st.sampled_from([0, 0, 0, 1]))):
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.sampled_from([b"", *PIECES])) + data[place + draw(st.integers(0, 2)) :]
    return path, data


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with asking(tmp_path_factory.mktemp("gateway")) as asker:
        yield asker


def without_the_servers(body: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the gateway leaves out."""
    left = {key: value for key, value in body.items() if key != "keep_alive" or value is None}
    if "options" in left:
        left["options"] = {key: value for key, value in left["options"].items() if key not in OPTIONS or value is None}
    return left


@FUZZ
@given(asked=sound, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_what_is_sound_passes_as_it_is(
    ask: Asker, asked: tuple[str, dict[str, Any]], ascii_only: bool, indent: int | None
) -> None:
    path, body = asked
    answer = ask(path, json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode("utf-8"))
    assert answer.status == 200, answer.body
    assert json.loads(answer.body) == without_the_servers(body)


@FUZZ
@given(asked=attacks(), pieces=st.sampled_from([0, 0, 1, 7, 4096]))
def test_nothing_passes_that_changes_the_server(ask: Asker, asked: tuple[str, bytes], pieces: int) -> None:
    path, data = asked
    answer = ask(path, [data[at : at + pieces] for at in range(0, len(data), pieces)] if pieces else data)
    if answer.status != 200:
        assert answer.status in (400, 403, 411), answer.body
        assert answer.error
        return
    arrived = go_reading.pairs(answer.body)
    assert go_reading.effects(arrived) == set()
    assert go_reading.twins(arrived) == set()
    # It was JSON before too, without twins, and what it says is not another thing.
    sent = go_reading.pairs(data)
    assert go_reading.twins(sent) == set()
    assert json.loads(answer.body) == without_the_servers(json.loads(data))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"KEEP_ALIVE": 0}', {"keep_alive"}),
        ('{"\u212aeep_alive": 0}'.encode(), {"keep_alive"}),
        (b'{"keep_alive": 0, "keep_alive": null}', set()),
        (b'{"options": {"num_ctx": 1}, "Options": {}}', {"num_ctx"}),
        (b'{"options": {"NUM_CTX": 1}}', set()),
        (b'{"format": {"keep_alive": 0}, "model": "x"}', set()),
        (b'{"model": "x:CLOUD"}', {"model"}),
        (b"[]", set()),
    ],
)
def test_the_judge_knows_harm(body: bytes, found: set[str]) -> None:
    assert go_reading.effects(go_reading.pairs(body)) == found


def test_the_judge_knows_twins() -> None:
    assert go_reading.twins(go_reading.pairs(b'[{"a": {"b": 1, "B": 2}}, {"c": 1}]')) == {"b"}
