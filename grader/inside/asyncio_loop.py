"""An asyncio loop of the worker."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from grader.inside.event_loops import END_S, Loop
from grader.inside.tasks import Task

__all__ = ["AsyncioLoop"]


class AsyncioLoop(Loop):
    """asyncio. A task counts as waiting when the future it awaits is not done."""

    def _run(self, up: threading.Event) -> None:
        import asyncio

        made = None if self._keeper is None else self._steered
        with asyncio.Runner(loop_factory=made) as runner:
            self._loop = runner.get_loop()
            self._loop.call_soon(up.set)
            self._loop.run_forever()

    def _steered(self) -> Any:
        from grader.inside.steering import SteeredLoop

        assert self._keeper is not None
        return SteeredLoop(self._keeper, self._seed)

    def spawn_all(self, functions: Sequence[Callable[[], Awaitable[Any]]]) -> list[Task]:
        starts = [self._prepared(function) for function in functions]

        def begin() -> None:
            for _, start in starts:
                start()

        self.until(lambda: True, begin)
        return [task for task, _ in starts]

    def _prepared(self, function: Callable[[], Awaitable[Any]]) -> tuple[Task, Callable[[], None]]:
        import asyncio

        task = Task(self)

        async def run() -> None:
            try:
                task.end(await function())
            except asyncio.CancelledError:
                task.end(cancelled=True)
                raise
            except BaseException as error:
                task.end(error=error)

        def start() -> None:
            ours = self._loop.create_task(run())
            task.stop = lambda: self.until(lambda: True, ours.cancel)

        task.stop = lambda: self.do(lambda: task.stop())  # until it has started
        return task, start

    def time(self) -> float:
        return float(self._loop.time())

    def do(self, function: Callable[[], Any]) -> None:
        self._loop.call_soon_threadsafe(function)

    def event(self) -> Any:
        import asyncio

        return asyncio.Event()

    async def _settle(self) -> None:
        import asyncio

        quiet, me = 0, asyncio.current_task()
        while quiet < 2:
            await asyncio.sleep(0)
            others = asyncio.all_tasks() - {me}
            waits = [getattr(task, "_fut_waiter", None) for task in others]
            quiet = quiet + 1 if all(w is not None and not w.done() for w in waits) else 0

    def stop(self) -> None:
        if self._thread.is_alive():
            self.do(self._loop.stop)
            self._thread.join(END_S)
