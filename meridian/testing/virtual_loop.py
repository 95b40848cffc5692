"""Event loops whose time jumps: an hour of ``anyio.sleep`` passes at once.

The counterpart of Tokio's paused time, and on asyncio of trio's ``MockClock``.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

if TYPE_CHECKING:
    pass

__all__ = ["BACKENDS", "VirtualTimeLoop", "run_virtual", "virtual_options"]

T = TypeVar("T")
BACKENDS = ("asyncio", "trio")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on a clock of its own, which starts at 0 and jumps to the next timer whenever
    every task waits and no socket is ready.

    A thread does not move this time, and this time does not wait for one: while a task waits for
    its worker thread, a timer strikes at once. With no timer left the loop waits for threads and
    sockets as any other does.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now_s

    def jump(self) -> bool:
        """Make it the time of the next timer; whether it will ever be that time."""
        timers: Any = self._scheduled  # type: ignore[attr-defined]
        due_s: float = timers[0].when()
        if due_s == math.inf:  # how asyncio sleeps for ever
            return False
        self._now_s = due_s
        # A timer strikes before `time()` plus this, which must be more than `time()` however late.
        self._clock_resolution = max(1e-9, math.ulp(due_s))
        return True


class _JumpingSelector(selectors.DefaultSelector):
    """What the loop idles in: it asks for sockets without waiting, and lets time jump instead."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        return super().select(0) or ([] if self._loop.jump() else super().select(None))


def virtual_options(backend: str) -> dict[str, Any]:
    """The ``backend_options`` of anyio that give `backend` virtual time, new for each run.

    Raises `ValueError` for a backend that is none of `BACKENDS`.
    """
    if backend == "asyncio":
        return {"loop_factory": VirtualTimeLoop}
    if backend == "trio":
        import trio.testing

        return {"clock": trio.testing.MockClock(autojump_threshold=0)}
    raise ValueError(f"Expected a backend of {', '.join(BACKENDS)}, got {backend!r}")


def run_virtual(fn: Callable[..., Awaitable[T]], *args: object, backend: str = "asyncio") -> T:
    """``await fn(*args)`` in a new loop whose time jumps; where a loop runs, as in a notebook, in
    a thread beside it, which the caller waits for.

    The result, or what it raises. Time stands still while a task computes, so every duration is
    exactly what the sleeps and deadlines make it. Raises `ValueError` for an unknown backend.
    """
    options = virtual_options(backend)

    def run() -> T:
        return anyio.run(fn, *args, backend=backend, backend_options=options)

    return _beside(run) if _in_a_loop() else run()


def _in_a_loop() -> bool:
    try:
        anyio.current_time()
    except RuntimeError:
        return False
    return True


def _beside(run: Callable[[], T]) -> T:
    done: Future[T] = Future()

    def work() -> None:
        try:
            done.set_result(run())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=work, name="run_virtual", daemon=True).start()
    return done.result()
