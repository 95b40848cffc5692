"""The broker against the obvious server: 48 connections, three handlers, a client in a process.

The metric is what a delivered frame costs. A side may drop for a handler that is behind, and what
it drops counts for nothing.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import structlog

from benchmarks.harness import Side
from meridian.foundation.tasks import Broker, BrokerConfig, Frame

__all__ = ["HANDLERS", "STATIONS", "broker_sides", "latency_ms", "waiting_sides"]

STATIONS, HANDLERS, CAPACITY, PAYLOAD = 48, 3, 256, 256

_CLIENT = f"""
import selectors, socket, sys
port, frames = int(sys.argv[1]), int(sys.argv[2])
frame = ({PAYLOAD}).to_bytes(4, "big") + bytes({PAYLOAD})
block = frame * 64
sockets = {{}}
for _ in range({STATIONS}):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setblocking(False)
    sockets[sock] = memoryview(frame * frames)
selector = selectors.DefaultSelector()
for sock in sockets:
    selector.register(sock, selectors.EVENT_WRITE)
print("connected", flush=True)
sys.stdin.readline()
while sockets:
    for key, _ in selector.select():
        sock = key.fileobj
        rest = sockets[sock]
        sent = sock.send(rest[: 1 << 17])
        if sent == len(rest):
            selector.unregister(sock)
            sock.close()
            del sockets[sock]
        else:
            sockets[sock] = rest[sent:]
"""


def broker_sides(frames: int) -> tuple[Side, Side]:
    """`frames` from each of 48 connections to three counting handlers; the peer's queues drop."""
    return (
        Side("Broker", lambda _: _broker(frames)),
        Side("asyncio, queues that drop", lambda _: asyncio.run(_streams(frames, drop=True))),
    )


def waiting_sides(frames: int) -> tuple[Side, Side]:
    """The same against queues that make the session wait, and drop nothing."""
    return (
        Side("Broker", lambda _: _broker(frames)),
        Side("asyncio, queues that wait", lambda _: asyncio.run(_streams(frames, drop=False))),
    )


@contextmanager
def _unlogged() -> Iterator[None]:
    """No line for each connection: a terminal would be part of what is measured."""
    before = structlog.get_config()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    try:
        yield
    finally:
        structlog.configure(**before)


class _Client:
    """The stations, in a process of their own; they wait for `go` once all are connected."""

    def __init__(self, port: int, frames: int) -> None:
        argv = [sys.executable, "-S", "-c", _CLIENT, str(port), str(frames)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._lines = self._process.stdout

    def connected(self) -> None:
        self._lines.readline()

    def go(self) -> None:
        self._process.communicate(b"\n")


def _broker(frames: int) -> float:
    with _unlogged():
        return anyio.run(_ours, frames)


async def _ours(frames: int) -> float:
    counts = [0] * HANDLERS
    broker = Broker(BrokerConfig(host="127.0.0.1", port=0, broadcast_capacity=CAPACITY))

    def counting(number: int) -> Callable[[Frame], Any]:
        async def count(_: Frame) -> None:
            counts[number] += 1

        return count

    for number in range(HANDLERS):
        broker.subscribe(counting(number))
    async with anyio.create_task_group() as tasks:
        _, port = await tasks.start(broker.serve)
        client = _Client(port, frames)
        await anyio.to_thread.run_sync(client.connected)
        while broker.stats.accepted < STATIONS:
            await anyio.sleep(0.001)
        start_s = time.perf_counter()
        await anyio.to_thread.run_sync(client.go)
        while broker.stats.active:
            await anyio.sleep(0.001)
        broker.request_shutdown()
    return (time.perf_counter() - start_s) / max(1, sum(counts))


async def _streams(frames: int, *, drop: bool) -> float:
    counts = [0] * HANDLERS
    queues: list[asyncio.Queue[Frame]] = [asyncio.Queue(CAPACITY) for _ in range(HANDLERS)]
    opened = closed = 0

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened, closed
        opened += 1
        name = f"gs-{opened}"
        with suppress(asyncio.IncompleteReadError):
            while True:
                length = int.from_bytes(await reader.readexactly(4), "big")
                frame = Frame(name, await reader.readexactly(length))
                for waiting in queues:
                    if not drop:
                        await waiting.put(frame)
                    elif not waiting.full():
                        waiting.put_nowait(frame)
        closed += 1
        writer.close()

    async def handle(number: int) -> None:
        while True:
            await queues[number].get()
            counts[number] += 1

    handlers = [asyncio.create_task(handle(number)) for number in range(HANDLERS)]
    server = await asyncio.start_server(session, "127.0.0.1", 0)
    client = _Client(server.sockets[0].getsockname()[1], frames)
    await asyncio.to_thread(client.connected)
    while opened < STATIONS:
        await asyncio.sleep(0.001)
    start_s = time.perf_counter()
    await asyncio.to_thread(client.go)
    while closed < STATIONS or any(waiting.qsize() for waiting in queues):
        await asyncio.sleep(0.001)
    took_s = time.perf_counter() - start_s
    for task in handlers:
        task.cancel()
    server.close()
    return took_s / max(1, sum(counts))


def latency_ms(seconds: float, *, rate: int = 4_800, refresh_s: float = 0.2) -> list[float]:
    """From when a frame is due to the last handler, at a steady `rate` from 48 stations.

    Counted from when it was due, not from when it was sent: a sender that is held up must not
    make the figures better. Once a second the catalog is refreshed in the blocking pool; a sleep
    of `refresh_s` stands for it. The stations are in this process: their cost is in the figures.
    """
    with _unlogged():
        return anyio.run(_open_loop, seconds, rate, refresh_s)


async def _open_loop(seconds: float, rate: int, refresh_s: float) -> list[float]:
    from meridian.foundation.tasks import spawn_blocking

    found: list[float] = []

    async def arrived(frame: Frame) -> None:
        due_ns = int.from_bytes(frame.payload[:8], "big")
        found.append((time.perf_counter_ns() - due_ns) / 1e6)

    async def others(_: Frame) -> None:
        pass

    broker = Broker(BrokerConfig(host="127.0.0.1", port=0, broadcast_capacity=CAPACITY))
    for handler in (others, others, arrived):
        broker.subscribe(handler)
    async with anyio.create_task_group() as tasks:
        _, port = await tasks.start(broker.serve)
        stations = [socket.create_connection(("127.0.0.1", port)) for _ in range(STATIONS)]
        start_ns = time.perf_counter_ns()
        refreshed_s = start_ns / 1e9
        sent = 0
        while sent < seconds * rate:
            due = int((time.perf_counter_ns() - start_ns) * rate / 1e9)
            while sent < due:
                due_ns = start_ns + sent * 10**9 // rate
                payload = due_ns.to_bytes(8, "big") + bytes(PAYLOAD - 8)
                stations[sent % STATIONS].send(PAYLOAD.to_bytes(4, "big") + payload)
                sent += 1
            if time.perf_counter() - refreshed_s >= 1:
                refreshed_s = time.perf_counter()
                tasks.start_soon(spawn_blocking, time.sleep, refresh_s)
            await anyio.sleep(0.001)
        for station in stations:
            station.close()
        while broker.stats.active:
            await anyio.sleep(0.01)
        broker.request_shutdown()
    return found
