"""Futures that are told what to do, for the tests of the executor."""

from __future__ import annotations

from meridian.foundation.tasks import (
    PENDING,
    Context,
    MiniExecutor,
    Pending,
    Ready,
    Waker,
)


class Cell:
    """A value that comes from outside. `keep` is whether it keeps its promise to wake."""

    def __init__(self, keep: bool = True) -> None:
        self.keep = keep
        self.wakers: list[Waker] = []
        self.value: Ready[object] | None = None
        self.polls = 0

    def put(self, value: object) -> None:
        self.value = Ready(value)
        wakers, self.wakers = self.wakers, []
        for waker in wakers:
            waker.wake()

    def poll(self, cx: Context) -> Ready[object] | Pending:
        self.polls += 1
        if self.value is not None:
            return self.value
        if self.keep:
            self.wakers.append(cx.waker.clone())
        return PENDING


class Turns:
    """Pending `n` times, waking itself: lets the others go first."""

    def __init__(self, n: int) -> None:
        self.left = n

    def poll(self, cx: Context) -> Ready[str] | Pending:
        if self.left == 0:
            return Ready("done")
        self.left -= 1
        cx.waker.wake()
        return PENDING


class Fails:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def poll(self, _: Context) -> Ready[None]:
        raise self.error


def events(executor: MiniExecutor) -> list[tuple[int, str, str]]:
    return [(event.tick, event.task, event.kind) for event in executor.trace]
