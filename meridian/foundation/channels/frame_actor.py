"""The actor of the lesson: a buffer of frames that many sessions fill and one task empties."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar, assert_never

from meridian.foundation.channels.actor import Actor, ActorHandle
from meridian.foundation.channels.capacity import checked_capacity
from meridian.foundation.channels.oneshot import OneSender
from meridian.foundation.tasks.tracker import TaskTracker

__all__ = ["Aggregator", "AggregatorHandle"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Frame(Generic[T]):
    frame: T


@dataclass(frozen=True, slots=True)
class _Depth:
    reply: OneSender[int]


@dataclass(frozen=True, slots=True)
class _Dropped:
    reply: OneSender[int]


@dataclass(frozen=True, slots=True)
class _Drain(Generic[T]):
    reply: OneSender[list[T]]


@dataclass(frozen=True, slots=True)
class _Flush:
    reply: OneSender[int]


_Message: TypeAlias = _Frame[T] | _Depth | _Dropped | _Drain[T] | _Flush


class Aggregator(Actor[_Message[T]]):
    """Keeps the latest `max_buffer` frames, in the order in which they arrived.

    When it is full the oldest frame makes room, and is counted: live telemetry is worth more the
    younger it is. Use `spawn`; what it returns is the whole interface.
    """

    def __init__(self, *, capacity: int, max_buffer: int) -> None:
        max_buffer = checked_capacity(max_buffer, "max_buffer")
        super().__init__(capacity=capacity)
        self._frames: deque[T] = deque()
        self._max_buffer = max_buffer
        self._dropped = 0

    @classmethod
    def spawn(
        cls, tracker: TaskTracker, *, capacity: int = 128, max_buffer: int = 1_000
    ) -> AggregatorHandle[T]:
        """Start one as a task of `tracker`; it ends when every handle is closed.

        Raises `ValueError` for a size that is no int of at least 1, and `TrackerClosed`.
        """
        actor: Aggregator[T] = cls(capacity=capacity, max_buffer=max_buffer)
        handle = actor.open()
        try:
            tracker.spawn(actor.run, name=actor.name)
        except BaseException:
            handle.close()
            raise
        return handle

    def open(self) -> AggregatorHandle[T]:
        return self.open_as(AggregatorHandle)

    async def on_message(self, message: _Message[T]) -> None:
        match message:
            case _Frame(frame):
                self._frames.append(frame)
                self._trim()
            case _Depth(reply):
                reply.send(len(self._frames))
            case _Dropped(reply):
                reply.send(self._dropped)
            case _Drain(reply):
                if reply.send(list(self._frames)):  # else the asker is gone, and they stay
                    self._frames.clear()
            case _Flush(reply):
                reply.send(len(self._frames))
                self._frames.clear()
            case other:
                assert_never(other)

    def put_back(self, frames: list[T]) -> None:
        """Frames that were drained for an asker who was cancelled in that very step."""
        self._frames.extendleft(reversed(frames))
        self._trim()

    def _trim(self) -> None:
        while len(self._frames) > self._max_buffer:
            self._frames.popleft()
            self._dropped += 1


class AggregatorHandle(ActorHandle[_Message[T]]):
    """What sessions and the task that empties the buffer share; each has a `clone`."""

    _actor: Aggregator[T]

    async def send_frame(self, frame: T) -> None:
        """Put one in. Raises `SendClosed` when the aggregator has ended."""
        await self.send(_Frame(frame))

    async def depth(self) -> int:
        """How many frames are buffered."""
        return await self.ask(_Depth)

    async def dropped(self) -> int:
        """How many frames have had to make room."""
        return await self.ask(_Dropped)

    async def drain(self) -> list[T]:
        """Take all, oldest first. Cancelled, it has taken none."""
        return await self.ask(_Drain, undelivered=self._actor.put_back)

    async def flush(self) -> int:
        """Throw all away; how many those were."""
        return await self.ask(_Flush)
