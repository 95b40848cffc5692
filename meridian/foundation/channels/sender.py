"""The end of a channel that items go in at."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

import anyio

from meridian.checks import checked_int, checked_seconds
from meridian.foundation.channels.blocking import Deadline, send_from_thread
from meridian.foundation.channels.buffer import Buffer
from meridian.foundation.channels.closing import warn_unclosed
from meridian.foundation.channels.errors import Full, SendClosed
from meridian.foundation.channels.payload import Parts, never_fits, weigh_checked
from meridian.foundation.channels.permits import Permit
from meridian.foundation.channels.records import ChannelStats, PendingSend
from meridian.foundation.tasks.parking import Waiter

__all__ = ["Sender"]

T = TypeVar("T")
_here = threading.get_ident
_SHUT: Final[Buffer[Any]] = Buffer.__new__(Buffer)  # where the plain case never holds
_SHUT.sent = _SHUT.limit = 0


class Sender(Generic[T]):
    """One of the ends that items go in at. Close each, or use it with ``async with``.

    The channel ends for its receiver when the last sender is closed. A sender that is dropped
    instead closes itself, with a `ResourceWarning`: a traceback or a cycle may keep it for long.
    """

    __slots__ = ("__weakref__", "_buffer", "_open", "_split", "_way")

    def __init__(
        self, buffer: Buffer[T], split: Callable[[T, int], tuple[T, T]] | None = None
    ) -> None:
        self._buffer = self._way = buffer
        self._split = split
        self._open = True

    # -- sending ---------------------------------------------------------------------------------

    async def send(self, item: T) -> None:
        """Put `item` in, when there is room and no sender came before.

        Cancelled, it has put in nothing (of an item that is split, no further part). Raises
        `SendClosed`, with what is not in, when the receiver has gone or this end is closed;
        `ValueError` for an item heavier than the capacity where nothing splits it.
        """
        buffer = self._way
        sent = buffer.sent
        if sent < buffer.limit and buffer.thread == _here() and type(item) in buffer.plain:
            budget = buffer.budget
            if (left := budget.left) > 1:
                budget.left = left - 1
                buffer.sent = sent + 1
                buffer.items.append(item)
                return
        await self._send(item)

    def try_send(self, item: T) -> None:
        """Put `item` in now. Raises `Full` or `SendClosed`, with the item; otherwise as `send`."""
        buffer = self._way
        sent = buffer.sent
        if sent < buffer.limit and buffer.thread == _here() and type(item) in buffer.plain:
            buffer.sent = sent + 1
            buffer.items.append(item)
            return
        buffer = self._buffer
        buffer.enter()
        weight = weigh_checked(buffer.weigh, item)
        if weight > buffer.capacity:
            raise never_fits(buffer, weight)
        if self.is_closed:
            raise buffer.refused(item, weight)
        if not buffer.admits(weight):
            buffer.rejected += weight
            raise Full(buffer.name, item, buffer.used + buffer.reserved, buffer.capacity)
        buffer.put(item, weight)

    async def send_timeout(self, item: T, seconds: float) -> None:
        """`send`, but raises `SendTimeout`, with what is not in, after waiting for `seconds`."""
        seconds = checked_seconds("a time", seconds)
        buffer = self._buffer
        await buffer.begin()
        if self._open and buffer.put_plain(item):
            return
        parts = Parts(buffer, item, self._split)
        with anyio.move_on_after(seconds):
            for part, weight in parts:
                await self._put_part(part, weight, parts.rest, parts.weight)
            return
        raise buffer.late(parts.rest, parts.weight, seconds)

    async def send_many(self, items: Iterable[T]) -> int:
        """Send all, as many at a time as there is room for; how many that were.

        Where it is cancelled, or the receiver goes, those before are in: `SendClosed` tells the
        first that is not.
        """
        buffer = self._buffer
        count = 0
        pending = iter(items)
        while True:
            await buffer.begin()
            if buffer.weigh is None and not buffer.pending and not self.is_closed:
                chunk: list[T] = []
                try:
                    chunk.extend(itertools.islice(pending, buffer.room))
                finally:
                    fitting = chunk[: buffer.room]
                    buffer.put_many(fitting)
                count += len(fitting)
                if len(fitting) < len(chunk):  # the iterator itself used the channel
                    pending = itertools.chain(chunk[len(fitting) :], pending)
            for item in pending:
                await self._put(item)
                count += 1
                break
            else:
                return count

    def blocking_send(self, item: T, timeout: float | None = None) -> None:
        """`send` from a thread that is not the loop's, which sleeps for as long as it takes.

        Raises what `send` does; `SendTimeout`, with what is not in, after `timeout` seconds;
        `SendClosed` too when the loop has ended; `RuntimeError` in the loop's own thread, which
        would wait for itself, and for a channel that has not met its loop yet.
        """
        until = Deadline(timeout)
        parts = Parts(self._buffer, item, self._split)
        for part, weight in parts:
            send_from_thread(self._buffer, self, part, weight, parts, until)

    async def reserve(self, weight: int = 1) -> Permit[T]:
        """Room that is kept for one item, in turn with those that wait to send.

        Raises `SendClosed`; `TypeError` or `ValueError` for a weight that is no int from 1 to the
        capacity.
        """
        buffer = self._buffer
        weight = checked_int("weight", weight, least=1, most=buffer.capacity)
        await buffer.begin()
        if self.is_closed:
            raise SendClosed(buffer.name)
        if not buffer.admits(weight):
            entry: PendingSend[T] = PendingSend(None, weight, Waiter(), reserves=True)
            await buffer.wait_for_room(entry)
            if entry.closed:
                raise SendClosed(buffer.name)
        else:
            buffer.reserve(weight)
        return Permit(buffer, weight)

    # -- its end ---------------------------------------------------------------------------------

    def clone(self) -> Sender[T]:
        """One sender more; the channel ends when the last is closed. Raises `SendClosed`."""
        self._buffer.enter()
        if self.is_closed:
            raise SendClosed(self._buffer.name)
        self._buffer.senders += 1
        return Sender(self._buffer, self._split)

    def close(self) -> None:
        """Send no more from here. From any thread; closing twice is harmless."""
        if self._open:
            self._open = False
            self._way = _SHUT
            self._buffer.from_anywhere(self._buffer.leave)

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent from here any more."""
        return not (self._open and self._buffer.receiving)

    async def closed(self) -> None:
        """Until the receiver has gone. Always a checkpoint."""
        await self._buffer.wait_for_end()

    def statistics(self) -> ChannelStats:
        return self._buffer.statistics()

    @property
    def name(self) -> str:
        return self._buffer.name

    @property
    def capacity(self) -> int:
        return self._buffer.capacity

    async def __aenter__(self) -> Sender[T]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._open:
            self._open = False
            buffer = self._buffer
            buffer.abandoned(buffer.leave)
            if buffer.receiving:
                warn_unclosed(buffer, "sender")

    def __repr__(self) -> str:
        return f"<Sender{'' if self._open else ', closed here,'} of {self._buffer.describe()}>"

    # -- within ----------------------------------------------------------------------------------

    async def _send(self, item: T) -> None:
        """`send` where it has to wait, to weigh, to refuse, or to let others run."""
        buffer = self._buffer
        buffer.enter()
        if buffer.budget.spend():
            await buffer.budget.turn()
        if not (self._open and buffer.put_plain(item)):
            await self._put(item)

    async def _put(self, item: T) -> None:
        """Put `item` in, in parts where it has to be, as soon as there is room."""
        buffer = self._buffer
        if buffer.weigh is None:
            await self._put_part(item, 1, item, 1)
        else:
            parts = Parts(buffer, item, self._split)
            for part, weight in parts:
                await self._put_part(part, weight, parts.rest, parts.weight)

    async def _put_part(self, part: T, weight: int, rest: T, rest_weight: int) -> None:
        """`rest` is what is not in where that fails, `part` included."""
        buffer = self._buffer
        if self.is_closed:
            raise buffer.refused(rest, rest_weight)
        if buffer.admits(weight):
            buffer.put(part, weight)
            return
        entry = PendingSend(part, weight, Waiter(), rest_weight=rest_weight)
        await buffer.wait_for_room(entry)
        if entry.closed:
            raise SendClosed(buffer.name, rest)
