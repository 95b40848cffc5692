"""The broker that yours replaces: one connection at a time.

Given: nothing to write here. It works as soon as `read_frame` does. Connect two stations and watch
the second one wait until the first has hung up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskStatus

from .framing import read_frame
from .records import Frame
from .sockets import accepting_sockets, address_of, peer_of


async def serve_one_at_a_time(
    handler: Callable[[Frame], Awaitable[None]],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    task_status: TaskStatus[tuple[str, int]] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Give every frame of a connection to `handler`, then accept the next connection."""
    listeners = await anyio.create_tcp_listener(local_host=host, local_port=port)
    async with listeners:
        (listener, *_) = accepting_sockets(listeners)
        task_status.started(address_of(listeners))
        for number in range(1, 2**32):
            async with await listener.accept() as stream:
                station_id = f"gs-{number}@{peer_of(stream)}"
                while (payload := await read_frame(stream)) is not None:
                    await handler(Frame(station_id, payload))
