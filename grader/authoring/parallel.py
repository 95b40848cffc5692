"""The same function on many items, in several processes or in this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from grader.box.reserve import RESERVE
from meridian.errors import MeridianError

__all__ = ["ProcessLost", "each"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class ProcessLost(MeridianError, RuntimeError):
    """A process that judged was killed from outside, by the system when memory ran out or so."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        super().__init__(
            f"One of {workers} processes was killed while it judged. If memory ran out, ask for "
            "fewer with --workers"
        )


def each(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[int, Result]]:
    """Yield the index and the result of every item, in the order in which they are done.

    One worker means this process. More start anew instead of forking, so that no thread or lock
    of this one goes along; `function` and items are pickled. What `function` raises is raised
    here, and what had not begun is given up. Raises `ValueError` and `ProcessLost` besides.
    """
    if workers < 1:
        raise ValueError(f"Expected at least 1 worker, got {workers}")
    if workers == 1 or len(items) < 2:
        try:
            for i, item in enumerate(items):
                yield i, function(item)
        finally:
            RESERVE.close()  # what `function` may have kept for the next item
        return
    pool = ProcessPoolExecutor(
        min(workers, len(items)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
    )
    try:
        places = {pool.submit(function, item): i for i, item in enumerate(items)}
        for future in as_completed(places):
            yield places[future], future.result()
    except BrokenProcessPool:
        raise ProcessLost(workers) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """A worker of the pool would wait for work for ever when its parent was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)  # boxes end with the process that started them

    threading.Thread(target=watch, daemon=True).start()
