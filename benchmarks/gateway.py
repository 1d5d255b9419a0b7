"""Measure what the gateway adds, beside the same server without it, in one run, and print a table.

The server is a fake, which answers at once, and one question after the other as Ollama does: where an answer takes its
time, the gateway's part of it is smaller.

    make benchmark-gateway
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import gateways
from gateways import TOKEN, Gateway, rendered

from ansible_collections.etrid.gizzi.tests.unit.ollama_client.fake_ollama import until

ROUNDS = 15
SECONDS = 2.0
# An answer of this many pieces, with so many seconds between two.
PIECES, PAUSE = 20, 0.025
QUESTION = json.dumps({"model": "llama3.1:8b", "prompt": "Is all well? " * 300, "options": {"num_ctx": 4096}}).encode()
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
VERSION = b'{"version":"0.34.2"}'
VALIDATORS = [{"name": f"validator{number:02}", "token": f"{number:064x}"} for number in range(1, 22)]

Connect = Callable[[], http.client.HTTPConnection]


async def _serve(turn: asyncio.Lock, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as Ollama does: the version at once, questions in their turn and piece by piece."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if head.startswith(b"GET"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(VERSION), VERSION))
                continue
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            async with turn:
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for number in range(PIECES):
                    line = json.dumps({"response": "word ", "done": number == PIECES - 1}).encode() + b"\n"
                    writer.write(b"%x\r\n%s\r\n" % (len(line), line))
                    await asyncio.sleep(PAUSE)
                writer.write(b"0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _server(port: int) -> None:
    async def run() -> None:
        serve = partial(_serve, asyncio.Lock())
        await (await asyncio.start_server(serve, "127.0.0.1", port)).serve_forever()

    asyncio.run(run())


def ask(connection: http.client.HTTPConnection, token: str = TOKEN) -> tuple[float, float]:
    """Ask one question; return the seconds to its first token and to its end."""
    start = time.perf_counter()
    connection.request("POST", "/api/generate", QUESTION, HEADERS | {"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    assert answer.status == http.client.OK, answer.read()
    answer.readline()
    first = time.perf_counter() - start
    answer.read()
    return first, time.perf_counter() - start


def on_one(connect: Connect) -> tuple[float, float]:
    """Ask on one connection, which is there already."""
    with closing(connect()) as connection:
        connection.connect()
        times = [ask(connection) for _turn in range(2)]
    return times[1]


def on_new(connect: Connect) -> tuple[float, float]:
    """Ask on a connection that has to be made first."""
    with closing(connect()) as connection:
        return ask(connection)


def versions(connect: Connect) -> float:
    """Return the requests for the version per second, of one caller."""
    count, start = 0, time.perf_counter()
    with closing(connect()) as connection:
        while time.perf_counter() - start < SECONDS:
            connection.request("GET", "/api/version", headers=HEADERS)
            connection.getresponse().read()
            count += 1
    return count / (time.perf_counter() - start)


def at_once(gateway: Gateway) -> tuple[float, float]:
    """Let all validators ask at once; return the seconds of their answers in turn, and of the longest wait."""
    (gateway.folder / "tokens/0000.conf").write_text(rendered("tokens.conf.j2", {"tokens": VALIDATORS}))
    os.kill(gateway.process.pid, signal.SIGHUP)
    tokens = [one["token"] for one in VALIDATORS]
    until(lambda: gateway.ask("/api/version", token=tokens[-1]).status == http.client.OK)

    def wait(token: str) -> float:
        with closing(gateway.connection(timeout=120)) as connection:
            return ask(connection, token)[1]

    alone = statistics.median(wait(TOKEN) for _turn in range(3))
    with ThreadPoolExecutor(len(tokens)) as pool:
        return len(tokens) * alone, max(pool.map(wait, tokens))


def milliseconds(times: list[float]) -> float:
    """Return the median."""
    return statistics.median(times) * 1000


def measure(gateway: Gateway, bare: Connect) -> None:
    """Ask both in turn, and print each row."""
    through: Connect = gateway.connection
    print("| figure | bare | through the gateway | added, or ratio |\n|---|---|---|---|")
    for name, way in (("a connection that is there", on_one), ("a new connection", on_new)):
        pairs = [(way(bare), way(through)) for _turn in range(ROUNDS)]
        for part, what in enumerate(("first token", "whole answer")):
            a, b = (milliseconds([pair[side][part] for pair in pairs]) for side in (0, 1))
            print(f"| {what}, {name}, ms | {a:.1f} | {b:.1f} | {b - a:.1f} ({(b / a - 1) * 100:.1f} %) |")
    pairs = [(versions(bare), versions(through)) for _turn in range(3)]
    a, b = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    one_by_one, longest = at_once(gateway)
    what = "21 answers one after the other, and the longest wait of 21 validators at once, s"
    print(f"| {what} | {one_by_one:.1f} | {longest:.1f} | {longest / one_by_one:.2f} |")
    print(f"| /api/version, requests per second of one caller | {a:.0f} | {b:.0f} | {b / a:.2f} |")


def main() -> None:
    port, _other = gateways.free_ports()
    server = multiprocessing.Process(target=_server, args=(port,), daemon=True)
    server.start()
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            gateways.running(Path(folder), f"127.0.0.1:{port}", access_log=False, ollama={"rate": 1000000}) as gateway,
        ):
            measure(gateway, lambda: http.client.HTTPConnection("127.0.0.1", port))
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
