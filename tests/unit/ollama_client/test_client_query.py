"""A question and its answer, its cache, and the order of the endpoints."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import fake_ollama
import pytest
from conftest import MakeClient, MakeSettings, Serve
from fake_ollama import say
from ollama_client import Data, OllamaClient, errors
from pydantic import BaseModel


class Verdict(BaseModel):
    status: str
    reason: str


def test_a_question_gets_its_answer(serve: Serve, client: MakeClient) -> None:
    server = serve(say("Paris is the capital."))
    assert client(server).query("The capital of France?", "Be brief.") == "Paris is the capital."
    asked = server.asked[0]
    assert asked["path"] == "/api/generate"
    assert (asked["body"]["model"], asked["body"]["prompt"]) == ("llama3.1:8b", "The capital of France?")
    assert asked["body"]["system"] == "Be brief."
    assert asked["body"]["options"] == {"num_ctx": 4096, "num_predict": 768, "temperature": 0.0}


def test_an_answer_comes_with_where_it_is_from(serve: Serve, client: MakeClient) -> None:
    answer = client(serve(say("two words"))).ask("?")
    assert (answer.endpoint, answer.tokens_in, answer.tokens_out) == ("server1", 40, 2)
    assert answer.complete and not answer.cached and 0 < answer.seconds < 20


def test_an_answer_cut_at_its_length_says_so(serve: Serve, client: MakeClient) -> None:
    assert not client(serve(say("and so on", done_reason="length"))).ask("?").complete


def test_host_and_model_as_arguments(serve: Serve) -> None:
    server = serve(say("yes"))
    with OllamaClient(server.url, "phi3:mini") as client:
        assert client.query("?") == "yes"
    assert server.asked[0]["body"]["model"] == "phi3:mini"


def test_a_stream_comes_as_it_is_made(serve: Serve, client: MakeClient) -> None:
    server = serve(say("one two three", delay=0.1))
    start = time.monotonic()
    times = [(piece, time.monotonic() - start) for piece in client(server).stream("count")]
    assert "".join(piece for piece, _unused in times) == "one two three"
    assert times[0][1] < times[-1][1] - 0.15


def test_a_slow_reader_is_not_a_slow_server(serve: Serve, client: MakeClient) -> None:
    stream = client(serve(say("one two three")), deadlines={"stall": 0.2}).stream("count")
    pieces = [next(stream)]
    time.sleep(0.4)
    assert "".join(pieces + list(stream)) == "one two three"


def test_json_is_checked_on_arrival(serve: Serve, client: MakeClient) -> None:
    server = serve(say('{"status": "HEALTHY", "reason": "in step"}'))
    assert client(server).query_json("?", Verdict) == Verdict(status="HEALTHY", reason="in step")
    wanted = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
    assert client(server).query_json("?", wanted) == {"status": "HEALTHY", "reason": "in step"}
    assert server.asked[0]["body"]["format"]["required"] == ["status", "reason"]


@pytest.mark.parametrize("text", ["HEALTHY", "{}", '{"status": 1, "reason": ""}', "[]", '{"status": "HEALTHY", "rea'])
def test_what_is_off_the_schema_is_an_error_and_not_kept(serve: Serve, client: MakeClient, text: str) -> None:
    server = serve(say(text))
    one = client(server)
    for schema in (Verdict, Verdict.model_json_schema()):
        for _unused in range(2):
            with pytest.raises(errors.SchemaError) as caught:
                one.query_json("?", schema)
            assert caught.value.text == text
            assert caught.value.endpoint == "server1"
    assert len(server.asked) == 4


def test_what_is_cut_off_before_it_fits_the_schema_says_so(serve: Serve, client: MakeClient) -> None:
    off = "the answer, which was cut off at prompt.answer_tokens, is not what was asked for"
    with pytest.raises(errors.SchemaError, match=off):
        client(serve(say('{"status": "HEALTHY", "rea', done_reason="length"))).query_json("?", Verdict)


def test_a_schema_that_is_none_is_the_callers_mistake(client: MakeClient) -> None:
    with pytest.raises(errors.PromptError, match="schema"):
        client().query_json("?", {"type": "strong"})


def test_nothing_to_ask_is_an_error(client: MakeClient) -> None:
    with pytest.raises(errors.PromptError):
        client().query("  \n")


def test_instructions_that_take_all_the_room_are_an_error(client: MakeClient) -> None:
    with pytest.raises(errors.PromptError, match="the instructions leave no room"):
        client().query("Is it?", "be brief " * 2000)


def test_the_same_question_is_asked_once(serve: Serve, client: MakeClient) -> None:
    server = serve(say("yes"))
    one = client(server)
    assert [one.ask("?").cached for _unused in range(3)] == [False, True, True]
    assert "".join(one.stream("?")) == "yes"
    assert len(server.asked) == 1
    one.query("?", fresh=True)
    assert len(server.asked) == 2


def test_whatever_shapes_an_answer_is_part_of_its_key(serve: Serve, client: MakeClient) -> None:
    server = serve(say('{"status": "a", "reason": "b"}'))
    one = client(server)
    one.query("?")
    one.query("? ?")
    one.query("?", "Be brief.")
    one.query("?", data=[Data("journal", "x")])
    one.query("?", data=[Data("journal", "y")])
    one.query_json("?", Verdict)
    one.model = "phi3:mini"
    one.query("?")
    assert len(server.asked) == 7


def test_an_answer_is_kept_for_its_time_only(serve: Serve, client: MakeClient) -> None:
    server = serve(say("yes"))
    one = client(server, cache={"seconds": 0.1})
    one.query("?")
    time.sleep(0.12)
    one.query("?")
    off = client(server, cache={"seconds": 0})
    off.query("?")
    off.query("?")
    assert len(server.asked) == 4


def test_twenty_threads_with_one_question_ask_once(serve: Serve, client: MakeClient) -> None:
    server = serve(say("yes", delay=0.2))
    one = client(server)
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(one.query, ["?"] * 20)) == {"yes"}
    assert len(server.asked) == 1


def test_the_second_endpoint_answers_for_the_first(serve: Serve, client: MakeClient) -> None:
    second = serve(say("yes"))
    one = client(f"http://127.0.0.1:{fake_ollama.closed_port()}", second)
    assert one.ask("?").endpoint == "server2"


def test_a_question_waits_for_its_only_server_while_that_is_restarted(
    serve: Serve, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    one = client(f"http://127.0.0.1:{port}")
    with pytest.raises(errors.UnreachableError):
        one.query("?")
    monkeypatch.setattr("ollama_client.endpoints.RESTART", 10.0)
    # It starts when the question has been refused.
    monkeypatch.setattr("ollama_client.endpoints.time.sleep", lambda _seconds: serve(say("yes"), port))
    assert one.query("?") == "yes"


def test_a_question_that_came_as_its_only_server_was_stopped_is_asked_again(
    serve: Serve, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(fake_ollama.hang_up)
    one = client(server)
    with pytest.raises(errors.UnreachableError, match="the connection broke before the first token"):
        one.query("?")
    assert len(server.asked) == 1
    monkeypatch.setattr("ollama_client.endpoints.RESTART", 10.0)

    def start(_seconds: float) -> None:
        server.behave = say("yes")

    monkeypatch.setattr("ollama_client.endpoints.time.sleep", start)
    assert one.query("?") == "yes"
    assert len(server.asked) == 3


@pytest.mark.parametrize("behave", [fake_ollama.cut, fake_ollama.html, fake_ollama.status(500)])
def test_what_is_no_restart_is_not_waited_for(
    serve: Serve, client: MakeClient, monkeypatch: pytest.MonkeyPatch, behave: fake_ollama.Behaviour
) -> None:
    server = serve(behave)
    monkeypatch.setattr("ollama_client.endpoints.RESTART", 10.0)
    with pytest.raises(errors.OllamaError):
        client(server).query("?")
    assert len(server.asked) == 1


def test_one_that_failed_is_left_alone_and_then_asked_again(serve: Serve, client: MakeClient) -> None:
    first, second = serve(fake_ollama.status(500)), serve(say("yes"))
    one = client(first, second, failover={"cooldown": 0.3})
    assert [one.ask("?", fresh=True).endpoint for _unused in range(3)] == ["server2"] * 3
    assert len(first.asked) == 1
    first.behave = say("back")
    time.sleep(0.32)
    assert one.ask("?", fresh=True).endpoint == "server1"


def test_no_answer_is_begun_anew_once_it_was_shown(serve: Serve, client: MakeClient) -> None:
    second = serve(say("another"))
    one = client(serve(fake_ollama.truncated), second)
    stream = one.stream("?")
    assert next(stream) == "HEALTHY"
    with pytest.raises(errors.CutOffError):
        next(stream)
    assert not second.asked
    # Nobody has seen the beginning of this one.
    assert client(serve(fake_ollama.truncated), second).query("?") == "another"


def test_a_stream_goes_on_to_the_next_before_its_first_token(serve: Serve, client: MakeClient) -> None:
    one = client(serve(fake_ollama.html), serve(say("yes it is")))
    assert "".join(one.stream("?")) == "yes it is"


def test_killing_the_first_under_load_fails_no_query(serve: Serve, client: MakeClient) -> None:
    first, second = serve(say("from the first one", delay=0.02)), serve(say("from the second one", delay=0.02))
    port = first.port
    one = client(first, second, failover={"cooldown": 0.2}, cache={"seconds": 0}, deadlines={"total": 10.0})
    answers: list[str] = []
    over = threading.Event()

    def load(number: int) -> None:
        while not over.is_set():
            answers.append(one.query(f"question of {number}"))

    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(load, number) for number in range(8)]
        try:
            fake_ollama.until(lambda: len(answers) > 20)
            first.stop()
            fake_ollama.until(lambda: answers[-8:].count("from the second one") == 8)
            again = serve(say("from the first again", delay=0.02), port)
            fake_ollama.until(lambda: answers[-8:].count("from the first again") == 8)
        finally:
            over.set()
        for worker in workers:
            worker.result()
    assert again.asked


def test_a_full_queue_means_the_next_endpoint(serve: Serve, client: MakeClient) -> None:
    first, second = serve(fake_ollama.queue_full), serve(say("yes"))
    one = client(first, second)
    assert [one.ask("?", fresh=True).endpoint for _unused in range(2)] == ["server2"] * 2
    assert len(first.asked) == 2, "it is alive, and not left alone"


def test_a_full_queue_means_a_wait_by_setting(
    serve: Serve, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollama_client.endpoints.BUSY_WAIT", (0.05, 0.1))
    server = serve(fake_ollama.queue_full)

    def after_three(handler: fake_ollama.Handler) -> None:
        (fake_ollama.queue_full if len(server.asked) < 3 else say("yes"))(handler)

    server.behave = after_three
    one = client(server, failover={"when_busy": "wait"})
    assert one.query("?") == "yes"
    server.behave = fake_ollama.queue_full
    start = time.monotonic()
    with pytest.raises((errors.BusyError, errors.DeadlineError), match=r"queue is full|time is up"):
        one.query("another", timeout=0.6)
    assert 0.3 < time.monotonic() - start < 5


def test_retry_after_is_heeded(serve: Serve, client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollama_client.endpoints.BUSY_WAIT", (0.0, 0.01))
    server = serve(say("yes"))

    def later(handler: fake_ollama.Handler) -> None:
        if len(server.asked) == 1:
            handler.reply(429, b"too many requests", "text/plain", Retry_After="0.5")
        else:
            say("yes")(handler)

    server.behave = later
    start = time.monotonic()
    assert client(server, failover={"when_busy": "wait"}).query("?") == "yes"
    assert 0.5 <= time.monotonic() - start < 5
    server.behave = lambda handler: handler.reply(503, b"", Retry_After="3600")
    start = time.monotonic()
    with pytest.raises(errors.BusyError):
        client(server, failover={"when_busy": "wait"}).query("? ?")
    assert time.monotonic() - start < 5, "it is not waited for in vain"


def test_a_name_that_nobody_answers_for_is_an_error_in_time(
    client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def silent(*given: object, **options: object) -> None:
        over.wait(60)
        raise socket.gaierror

    monkeypatch.setattr("socket.getaddrinfo", silent)
    try:
        one = client("http://gizzi.invalid:11434", deadlines={"connect": 0.3})
        start = time.monotonic()
        with pytest.raises(errors.UnreachableError):
            one.query("?")
        with pytest.raises(errors.ApiUnreachableError):
            client(api={"url": "http://gizzi.invalid:8080", "timeout": 0.3}).network_status()
        assert 0.6 <= time.monotonic() - start < 5
    finally:
        over.set()


def test_an_unknown_name_is_an_error(client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*given: object, **options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(errors.UnreachableError):
        client("http://gizzi.invalid:11434").query("?")


def test_a_second_address_is_tried_in_time(serve: Serve, client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one swallows everything: its backlog is full."""
    server = serve(say("yes"))
    with socket.socket() as full, ExitStack() as callers:
        full.bind(("127.0.0.2", server.port))
        full.listen(0)
        for _unused in range(3):
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.2", server.port))
        found = [(2, 1, 6, "", (address, server.port)) for address in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr("socket.getaddrinfo", lambda *given, **options: found)
        one = client(f"http://gizzi.invalid:{server.port}", deadlines={"connect": 0.6})
        assert one.query("?") == "yes"


def test_a_host_of_the_settings_keeps_its_token(serve: Serve, settings: MakeSettings, tmp_path: Path) -> None:
    server, other = serve(say("yes")), serve(say("yes"))
    token = tmp_path / "token"
    token.write_text("0f3c9a\n")
    made = settings(endpoints=[{"name": "gateway", "url": server.url, "token_file": token}])
    assert OllamaClient(f"{server.url}/", settings=made).ask("?").endpoint == "gateway"
    assert OllamaClient(other.url, settings=made).query("?") == "yes"
    assert server.asked[0]["headers"]["authorization"] == "Bearer 0f3c9a"
    assert "authorization" not in other.asked[0]["headers"]


def test_the_settings_token_goes_along_and_the_environment_does_not(
    serve: Serve, client: MakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_API_KEY", "of-the-cloud")
    server = serve(say("yes"))
    assert client(server).query("?") == "yes"
    assert "authorization" not in server.asked[0]["headers"]
    token = tmp_path / "token"
    token.write_text("0f3c9a\n")
    one = client(endpoints=[{"name": "gateway", "url": server.url, "token_file": token}])
    assert one.query("?") == "yes"
    assert server.asked[1]["headers"]["authorization"] == "Bearer 0f3c9a"
    token.write_text("")
    with pytest.raises(errors.SettingsError, match="is empty"):
        one.query("? ?")


def test_a_certificate_is_checked(serve: Serve, client: MakeClient, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = serve(say("yes"), 0, tls)
    endpoint = {"name": "gateway", "url": server.url}
    assert client(endpoints=[endpoint | {"ca_file": certificate}]).query("?") == "yes"
    with pytest.raises(errors.UnreachableError):
        client(endpoints=[endpoint]).query("?")
    with pytest.raises(errors.SettingsError, match="ca_file"):
        client(endpoints=[endpoint | {"ca_file": tmp_path / "none"}]).query("?")
    assert len(server.asked) == 1
