"""Futures for the executor of `poll`: several at once, and any coroutine."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from meridian.foundation.tasks.poll_events import PolledAfterCompletion
from meridian.foundation.tasks.readiness import PENDING, Pending, Ready

if TYPE_CHECKING:
    from meridian.foundation.tasks.poll import Context, Future

__all__ = ["JoinAll", "from_coroutine", "polled"]

T = TypeVar("T")


class JoinAll(Generic[T]):
    """Several futures in one task, their polls interleaved; ready when all are, in their order.

    What one of them raises ends the whole: the others are closed.
    """

    def __init__(self, *futures: Future[T]) -> None:
        for future in futures:
            if not _is_future(future):
                raise TypeError(f"Expected futures, with poll(); got {type(future).__name__}")
        self._left: dict[int, Future[T]] | None = dict(enumerate(futures))
        self._values: dict[int, T] = {}

    def poll(self, cx: Context) -> Ready[tuple[T, ...]] | Pending:
        if self._left is None:
            raise PolledAfterCompletion("JoinAll")
        for place, future in list(self._left.items()):
            try:
                answer = future.poll(cx)
            except BaseException:
                del self._left[place]
                self.close()
                raise
            if isinstance(answer, Ready):
                self._values[place] = answer.value
                del self._left[place]
        if self._left:
            return PENDING
        self._left = None
        return Ready(tuple(value for _, value in sorted(self._values.items())))

    def close(self) -> None:
        """Drop what is not ready."""
        left, self._left = self._left or {}, None
        for future in left.values():
            if hasattr(future, "close"):
                future.close()


@types.coroutine
def polled(future: Future[T]) -> Generator[Future[T], T, T]:
    """``await polled(future)``: wait for a future of ours in a coroutine that `from_coroutine`
    drives. The future is yielded to the driver, who polls it and sends its value back.
    """
    return (yield future)


def from_coroutine(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """`coroutine` as a future: polling it runs it to the next ``await polled(...)`` that must wait.

    Raises `TypeError` for anything else. A coroutine that awaits what is not ours (a sleep of
    asyncio, say) meets a `TypeError` at that line.
    """
    given: object = coroutine
    if not isinstance(given, Coroutine):
        kind = type(given).__name__
        raise TypeError(f"Expected a coroutine, the result of calling an async def; got {kind}")
    return _CoroutineFuture(coroutine)


class _CoroutineFuture(Generic[T]):
    """The state machine is the coroutine; beside it, the future that it waits for now."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine: Coroutine[Any, Any, T] | None = coroutine
        self._inner: Future[Any] = _Begin()

    def poll(self, cx: Context) -> Ready[T] | Pending:
        coroutine = self._coroutine
        if coroutine is None:
            raise PolledAfterCompletion("Coroutine")
        try:
            while True:
                try:
                    answer = self._inner.poll(cx)
                except Exception as error:
                    wanted = coroutine.throw(error)
                else:
                    if isinstance(answer, Pending):
                        return PENDING
                    wanted = coroutine.send(answer.value)
                self._inner = wanted if _is_future(wanted) else _Refused(wanted)
        except StopIteration as end:
            self._coroutine = None
            return Ready(end.value)
        except BaseException:
            self._coroutine = None
            raise

    def close(self) -> None:
        """Raise `GeneratorExit` where the coroutine waits: its ``finally`` blocks run."""
        if self._coroutine is not None:
            self._coroutine.close()
            self._coroutine = None


class _Begin:
    """What a coroutine waits for before its first line: nothing."""

    def poll(self, _: Context) -> Ready[None]:
        return Ready(None)


class _Refused:
    """What a coroutine awaited and nobody here can poll."""

    def __init__(self, wanted: object) -> None:
        self._wanted = wanted

    def poll(self, _: Context) -> Ready[None]:
        raise TypeError(f"Expected `await polled(future)`, got an await of {self._wanted!r}")


def _is_future(thing: object) -> bool:
    return callable(getattr(thing, "poll", None))
