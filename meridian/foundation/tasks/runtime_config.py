"""What a runtime is made of, and what it tells of itself."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from meridian.foundation.tasks.blocking import BlockingPool

__all__ = ["RuntimeConfig", "RuntimePool", "RuntimeStats"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """How a `Runtime` is to be. Raises `TypeError` or `ValueError` for what cannot be."""

    name: str = "meridian-worker"
    """Of the loop's thread, and with a number, of the blocking threads."""
    backend: str = "asyncio"
    """asyncio or trio."""
    blocking_threads: int = 40
    """At most; they start when needed."""
    thread_stack_size: int = 0
    """Bytes, for every thread of the runtime; 0 is the system's own."""
    on_thread_start: Callable[[], object] | None = None
    """Called first in every thread of the runtime. What it raises fails `start`, or the job."""
    lag_interval_s: float = 0.01
    """How often the loop's lag is measured."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"Expected name as str, got {type(self.name).__name__}")
        if not self.name:
            raise ValueError("Expected a name, got an empty one")
        if self.backend not in ("asyncio", "trio"):
            raise ValueError(f"Expected backend asyncio or trio, got {self.backend!r}")
        if self.on_thread_start is not None and not callable(self.on_thread_start):
            raise TypeError(f"Expected on_thread_start to call, got {self.on_thread_start!r}")


@dataclass(frozen=True, slots=True)
class RuntimeStats:
    """A runtime at one moment."""

    lag_p50: float
    """Seconds by which the loop was late at half of its ticks, at most, since it started."""
    lag_p99: float
    lag_max: float
    tasks: int
    blocking_running: int
    blocking_queued: int


class RuntimePool(BlockingPool):
    """A pool whose threads begin with the runtime's hook."""

    def __init__(self, config: RuntimeConfig) -> None:
        super().__init__(config.blocking_threads, config.name, config.thread_stack_size)
        self._hook = config.on_thread_start
        self._here = threading.local()

    async def run(self, fn: Callable[..., T], *args: object, abandon_on_cancel: bool = False) -> T:
        job: Callable[..., T] = fn
        if callable(fn) and not inspect.iscoroutinefunction(fn):  # else told by the pool
            job = functools.partial(self._entered, fn)
        return await super().run(job, *args, abandon_on_cancel=abandon_on_cancel)

    def _entered(self, fn: Callable[..., T], *args: object) -> T:
        if not hasattr(self._here, "entered"):
            if self._hook is not None:
                self._hook()
            self._here.entered = True
        return fn(*args)
