"""A broker that serves on a free port of loopback, and what tests need around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import SocketStream, TaskStatus

from meridian.foundation.tasks import Broker, BrokerConfig, Frame, ShutdownReport

PATIENCE_S = 30.0  # for what happens in milliseconds on a machine that has time


class Recorder:
    """A handler that keeps what it was given."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def __call__(self, frame: Frame) -> None:
        self.frames.append(frame)

    def payloads(self) -> list[bytes]:
        return [frame.payload for frame in self.frames]

    def by_station(self) -> dict[str, list[bytes]]:
        stations: dict[str, list[bytes]] = {}
        for frame in self.frames:
            stations.setdefault(frame.station_id, []).append(frame.payload)
        return stations


class Serving:
    """A broker at work."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.address = ("", 0)
        self.ended: ShutdownReport | None = None
        self._over = anyio.Event()

    async def run(self, *, task_status: TaskStatus[tuple[str, int]]) -> None:
        self.ended = await self.broker.serve(task_status=task_status)
        self._over.set()

    async def connect(self) -> SocketStream:
        return await anyio.connect_tcp(*self.address)

    async def stop(self, reason: str = "test") -> ShutdownReport:
        self.broker.request_shutdown(reason)
        return await self.over()

    async def over(self) -> ShutdownReport:
        with anyio.fail_after(PATIENCE_S):
            await self._over.wait()
        assert self.ended is not None
        return self.ended


@asynccontextmanager
async def serving(broker: Broker | None = None, /, **config: Any) -> AsyncIterator[Serving]:
    """A broker that serves in this block, and is shut down at its end."""
    rig = Serving(broker or Broker(local(**config)))
    async with anyio.create_task_group() as group:
        rig.address = await group.start(rig.run)
        try:
            yield rig
        except BaseException:
            group.cancel_scope.cancel()
            raise
        rig.broker.request_shutdown("end of the test")


def local(**config: Any) -> BrokerConfig:
    return BrokerConfig(host="127.0.0.1", port=0, **config)


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not condition():
            await anyio.sleep(0.002)


async def at_end(stream: SocketStream) -> bool:
    """Whether the peer has closed properly: an end, not a reset."""
    with anyio.fail_after(PATIENCE_S):
        try:
            await stream.receive()
        except anyio.EndOfStream:
            return True
    return False
