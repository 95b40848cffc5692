"""Write dirty pages back in the background, so that an eviction seldom has to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meridian.database.storage.errors import StorageClosed

if TYPE_CHECKING:
    from meridian.database.storage.buffer_pool import BufferPool

__all__ = ["flusher"]


async def flusher(pool: BufferPool, interval_s: float = 0.5, batch: int = 64) -> None:
    """Every `interval_s` seconds write up to `batch` dirty pages of `pool` in a worker thread.

    Runs until it is cancelled or the pool is closed. While there is more than one batch to write
    it does not wait in between. Cancelling lets a write in progress finish. An error of the file
    or the hook comes out; the pages concerned stay dirty. Runs on asyncio and trio::

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flusher, pool)
    """
    from anyio import sleep, to_thread

    if not interval_s > 0:
        raise ValueError(f"Expected interval_s > 0, got {interval_s}")
    if batch < 1:
        raise ValueError(f"Expected batch >= 1, got {batch}")
    while True:
        await sleep(interval_s)
        written = batch
        while written == batch:
            try:
                written = await to_thread.run_sync(pool.flush_some, batch)
            except StorageClosed:
                return
