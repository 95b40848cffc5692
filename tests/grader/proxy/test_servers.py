"""Servers of the submission, judged over real sockets from outside."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from grader.box import detect
from grader.errors import RemoteError
from grader.judging.compare import CriterionFailed
from grader.limits import Limits
from grader.proxy.submission import Submission

Lab = Callable[..., Submission]
NETWORK = Limits(question_s=20, start_s=60, network=True)

SOURCE = """
import asyncio, socket, threading

async def serve(handler=None, *, task_status):
    async def echo(reader, writer):
        try:
            while line := await reader.readline():
                if handler is not None:
                    line = await handler(line)
                writer.write(line.upper())
                await writer.drain()
        finally:
            writer.close()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    task_status.started(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()

def thread_server(go):
    port = free_port()
    def run():
        go.wait()
        with socket.create_server(("127.0.0.1", port)) as server:
            client, _ = server.accept()
            with client:
                client.sendall(b"late")
    threading.Thread(target=run, daemon=True).start()
    return port
async def fetch(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"get tle\\n")
        return await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]
event = threading.Event
def soon(event): threading.Timer(0.05, event.set).start()
"""


def test_the_judge_talks_to_a_server_in_the_box(lab_of: Lab) -> None:
    lab = lab_of(SOURCE, limits=NETWORK)
    with lab.loop() as loop:
        server = loop.serve(lab.serve)
        with lab.dial(server.ready) as client, client.makefile("rwb") as lines:
            lines.write(b"frame one\n")
            lines.flush()
            assert lines.readline() == b"FRAME ONE\n"
            with lab.dial(server.ready) as other:
                other.sendall(b"x\n")
                assert other.recv(10) == b"X\n"
        server.cancel()
        with pytest.raises(RemoteError, match="CancelledError"):
            server.result()
        with pytest.raises(CriterionFailed, match=r"Nothing listens on port \d+ within 0 s"):
            lab.dial(server.ready, within_s=0)


def test_a_handler_of_the_judge_serves_between_sockets(lab_of: Lab) -> None:
    lab = lab_of(SOURCE, limits=NETWORK)
    seen: list[bytes] = []

    def handler(line: bytes) -> bytes:
        seen.append(line)
        return line * 2

    with lab.loop() as loop:
        server = loop.serve(lab.serve, lab.callback(handler, awaited=True))
        with lab.dial(server.ready, within_s=20) as client:
            client.sendall(b"a\n")
            lab.attend(lambda: bool(seen), within_s=20)
            assert client.recv(10) == b"A\nA\n"


def test_dialling_waits_until_somebody_listens(lab_of: Lab) -> None:
    lab = lab_of(SOURCE, limits=NETWORK)
    go = lab.event()
    port = lab.thread_server(go)
    lab.soon(go)
    with lab.dial(port, within_s=20) as client:
        assert client.recv(10) == b"late"


def test_the_submission_connects_to_a_server_of_the_judge(lab_of: Lab, where: str) -> None:
    if where == "boxed" and detect().tier != "bwrap":
        pytest.skip("only a box with a network of its own lets a submission connect: bwrap")
    lab = lab_of(SOURCE, limits=NETWORK)
    with lab.listen() as server, lab.loop() as loop:
        fetch = loop.start(lab.fetch, server.getsockname()[1])
        client, _ = server.accept()
        with client, client.makefile("rwb") as lines:
            assert lines.readline() == b"get tle\n"
            lines.write(b"25544\n")
            lines.flush()
            assert fetch.result() == b"25544\n"
        port = server.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            lab.listen(port)


def test_a_silent_server_does_not_hold_the_judge(lab_of: Lab) -> None:
    lab = lab_of(SOURCE, limits=NETWORK)
    with lab.loop() as loop:
        server = loop.serve(lab.serve)
        with lab.dial(server.ready, within_s=5) as client:
            client.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.recv(1)


def test_only_loopback_can_be_dialled(lab_of: Lab) -> None:
    lab = lab_of(SOURCE, limits=NETWORK)
    with pytest.raises(ValueError, match="loopback"):
        lab.dial(80, host="192.0.2.1")


def test_a_box_cannot_reach_the_judges_own_servers(lab_of: Lab, where: str) -> None:
    if where != "boxed":
        pytest.skip("in this process there are no walls")
    lab = lab_of(
        "import socket\ndef dial(port): socket.create_connection(('127.0.0.1', port), 5)\n",
        limits=NETWORK,
    )
    with socket.create_server(("127.0.0.1", 0)) as mine, lab.raises("OSError"):
        lab.module().dial(mine.getsockname()[1])  # `lab.dial` is the judge's own
