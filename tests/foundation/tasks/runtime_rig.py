"""What the tests of a runtime let it run."""

from __future__ import annotations

import threading

from anyio.lowlevel import checkpoint

LONG_S = 60


async def double(number: int) -> int:
    await checkpoint()
    return 2 * number


async def fail(error: BaseException) -> None:
    await checkpoint()
    raise error


async def thread_name() -> str:
    return threading.current_thread().name


def checkpointless() -> None:
    pass
