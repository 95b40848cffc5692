"""A whole receiver out of the two questions of a branch of `select`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Generic, TypeVar

from anyio.lowlevel import checkpoint_if_cancelled

from meridian.checks import checked_int
from meridian.foundation.channels.errors import ChannelClosed, Empty
from meridian.foundation.tasks.parking import Waiter, current_budget
from meridian.foundation.tasks.readiness import CLOSED, Closed, Pending, Ready, Selectable

__all__ = ["ComposedReceiver", "add_to_all"]

T = TypeVar("T")
Self = TypeVar("Self", bound="ComposedReceiver[Any]")


class ComposedReceiver(ABC, Generic[T]):
    """For receivers that are made of others: nothing is buffered in between, so nothing is lost.

    What asking raises, after some items of a `recv_many` were taken already, is raised by the next
    call instead.
    """

    name: str
    _due: Exception | None = None

    @abstractmethod
    def _take(self) -> Ready[T] | Pending | Closed:
        """Take the next item, at once."""

    @abstractmethod
    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def __len__(self) -> int: ...

    def __bool__(self) -> bool:
        return True  # one with nothing to read is not nothing

    def try_take(self) -> Ready[T] | Pending | Closed:
        """The next item, at once. Raises what its source raises."""
        if self._due is not None:
            error, self._due = self._due, None
            raise error
        return self._take()

    async def recv(self) -> T:
        """The next item. Cancelled, it has taken none.

        Raises `ChannelClosed` at the end, and what its source raises. Need not wait: yields every
        128th time.
        """
        budget = current_budget()
        if budget.spend():
            await budget.turn()
        woken = False
        while True:
            answer = self.try_take()
            if isinstance(answer, Ready):
                return answer.value
            if answer is CLOSED:
                raise ChannelClosed(self.name)
            if woken:  # in vain: asyncio does not deliver a cancellation to one just woken
                await checkpoint_if_cancelled()
            waiter = Waiter()
            remove = self.add_waiter(waiter.wake)
            try:
                await waiter.wait()
            finally:
                remove()
            woken = True

    def try_recv(self) -> T:
        """`recv` without waiting. Raises `Empty` where there is nothing yet."""
        answer = self.try_take()
        if isinstance(answer, Ready):
            return answer.value
        raise ChannelClosed(self.name) if answer is CLOSED else Empty(self.name)

    async def recv_many(self, limit: int = 256) -> list[T]:
        """At least one item and at most `limit`; none only at the end.

        Raises `TypeError` or `ValueError` for a limit that is no int of at least 1, and what a
        source raises.
        """
        if type(limit) is not int or limit < 1:
            limit = checked_int("limit", limit, least=1)
        try:
            items = [await self.recv()]
        except ChannelClosed:
            return []
        while len(items) < limit:
            try:
                answer = self._take()
            except Exception as error:
                self._due = error
                break
            if not isinstance(answer, Ready):
                break
            items.append(answer.value)
        return items

    def __aiter__(self: Self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.recv()
        except ChannelClosed:
            raise StopAsyncIteration from None

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def add_to_all(
    sources: Iterable[Selectable[Any]], wake: Callable[[], object]
) -> Callable[[], None]:
    """Wait on all of `sources`; the result takes the waiter off each."""
    removes: list[Callable[[], object]] = []

    def remove() -> None:
        for each in removes:
            each()

    try:
        for source in sources:
            removes.append(source.add_waiter(wake))  # noqa: PERF401 - each, or none, stays on
    except BaseException:
        remove()
        raise
    return remove
