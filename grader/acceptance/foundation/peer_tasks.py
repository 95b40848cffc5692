"""What criterion 11 races against: the broker one writes first, with asyncio and nothing else.

``asyncio.start_server``, ``readexactly`` for each frame, a queue for each handler. A full queue
makes the connections wait, so that no frame is lost and the work is the same. Runs in its own,
trusted worker. Standard library only.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

HEADER = struct.Struct(">I")


class Frame(NamedTuple):
    station_id: str
    payload: bytes


class Broker:
    """Every frame to every handler, each behind a queue of its own."""

    def __init__(self, capacity: int = 256) -> None:
        self._capacity = capacity
        self._handlers: list[Callable[[Frame], Awaitable[None]]] = []
        self._queues: list[asyncio.Queue[Frame]] = []

    def subscribe(self, handler: Callable[[Frame], Awaitable[None]]) -> None:
        self._handlers.append(handler)

    async def serve(self, *, task_status: Any) -> None:
        self._queues = [asyncio.Queue(self._capacity) for _ in self._handlers]
        pairs = zip(self._queues, self._handlers, strict=True)
        tasks = [asyncio.create_task(self._feed(queue, handler)) for queue, handler in pairs]
        server = await asyncio.start_server(self._session, "127.0.0.1", 0)
        task_status.started(server.sockets[0].getsockname()[:2])
        try:
            async with server:
                await server.serve_forever()
        finally:
            for task in tasks:
                task.cancel()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        station_id = "gs-{}:{}".format(*writer.get_extra_info("peername")[:2])
        try:
            while True:
                (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
                frame = Frame(station_id, await reader.readexactly(length))
                for queue in self._queues:
                    await queue.put(frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _feed(
        self, queue: asyncio.Queue[Frame], handler: Callable[[Frame], Awaitable[None]]
    ) -> None:
        while True:
            await handler(await queue.get())
