"""The server answers, and does so again after a crash and after a reboot."""

from __future__ import annotations

from lab.ollama import MODEL, url
from lab.server import LOOPBACK, Server
from lab.testing import Lab, wait_until


def test_answers(server: Server) -> None:
    assert server.ask()


def test_killed_in_a_generation(server: Server) -> None:
    """A client loses its answer; the next one gets his."""
    story = f'{{"model": "{MODEL}", "prompt": "Tell a long story.", "options": {{"num_predict": 2000}}}}'
    stream = "/run/story"
    server.host.check_output(
        "systemd-run --collect --unit=story --property=StandardOutput=truncate:%s curl --silent --data %s %s",
        stream,
        story,
        url(LOOPBACK, "/api/generate"),
    )
    wait_until(lambda: '"response"' in server.host.file(stream).content_string, 300, "the generation has begun")
    killed, restarts = server.unit("MainPID"), int(server.unit("NRestarts"))

    server.host.check_output("kill -9 %s", killed)

    wait_until(lambda: server.unit("MainPID") not in {killed, "0"}, 120, "systemd has started the server again")
    server.wait_until_it_answers()
    assert server.ask()
    assert int(server.unit("NRestarts")) == restarts + 1
    assert '"done":true' not in server.host.file(stream).content_string
    wait_until(lambda: not server.host.service("story").is_running, 120, "the client has given up")


def test_reboot(lab: Lab, server: Server) -> None:
    lab.reboot(["server"])
    server.wait_until_it_answers()
    assert server.ask()
