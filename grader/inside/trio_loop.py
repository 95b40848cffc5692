"""A trio loop of the worker."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from grader.inside.event_loops import END_S, Loop
from grader.inside.tasks import KEEPER, Task

__all__ = ["TrioLoop"]


class TrioLoop(Loop):
    """trio: every task has a cancel scope of its own."""

    def _run(self, up: threading.Event) -> None:
        import trio

        keeper = self._keeper

        async def main() -> None:
            self._token = trio.lowlevel.current_trio_token()
            self._clock = trio.lowlevel.current_clock()
            async with trio.open_nursery() as self._nursery:
                if keeper is not None:
                    self._nursery.start_soon(keep_trio, keeper, self._clock, name=KEEPER)
                up.set()
                await trio.sleep_forever()

        if keeper is None:
            trio.run(main)
            return
        import trio.testing

        from grader.inside.steering import draw_trio_order_from, keep_trio

        draw_trio_order_from(self._seed)
        trio.run(main, clock=trio.testing.MockClock())

    def spawn_all(self, functions: Sequence[Callable[[], Awaitable[Any]]]) -> list[Task]:
        starts = [self._prepared(function) for function in functions]

        def begin() -> None:
            for _, run in starts:
                self._nursery.start_soon(run)

        self.until(lambda: True, begin)
        return [task for task, _ in starts]

    def _prepared(
        self, function: Callable[[], Awaitable[Any]]
    ) -> tuple[Task, Callable[[], Awaitable[None]]]:
        import trio

        task, scope = Task(self), trio.CancelScope()
        task.stop = lambda: self.until(lambda: True, scope.cancel)

        async def run() -> None:
            value = None
            try:
                with scope:
                    value = await function()
            except trio.Cancelled:
                task.end(cancelled=True)
                raise
            except BaseException as error:
                task.end(error=error)
            else:
                task.end(value, cancelled=scope.cancelled_caught)

        return task, run

    def time(self) -> float:
        return float(self._clock.current_time())

    def do(self, function: Callable[[], Any]) -> None:
        self._token.run_sync_soon(function)

    def event(self) -> Any:
        import trio

        return trio.Event()

    async def _settle(self) -> None:
        import trio.testing

        await trio.testing.wait_all_tasks_blocked()

    def stop(self) -> None:
        if self._thread.is_alive():
            self.do(self._nursery.cancel_scope.cancel)
            self._thread.join(END_S)
