"""What one source sends by: whether a frame may come in, and waiting until there is room."""

from __future__ import annotations

from types import TracebackType

from meridian.foundation.channels.aggregator_lanes import Lanes, Source
from meridian.foundation.channels.aggregator_processor import Account
from meridian.foundation.channels.aggregator_records import (
    FeedKind,
    Frame,
    FramePriority,
    ShuttingDown,
)
from meridian.foundation.channels.errors import Full, SendClosed
from meridian.foundation.tasks.cancel import CancellationToken
from meridian.foundation.tasks.parking import current_budget

__all__ = ["SourceHandle"]


class SourceHandle:
    """What a source sends by; several tasks may share it. Close it, or use ``async with``."""

    __slots__ = ("_account", "_lanes", "_source", "_token")

    def __init__(
        self, source: Source, lanes: Lanes, account: Account, token: CancellationToken
    ) -> None:
        self._source = source
        self._lanes = lanes
        self._account = account
        self._token = token

    async def send(self, frame: Frame) -> None:
        """Have `frame` accepted, as soon as there is room for its priority.

        Cancelled, it was not accepted. Need not wait: yields every 128th time. Raises
        `ShuttingDown` or, of a source that was closed or removed, `SendClosed`, both with the
        frame; `ValueError` for a frame of another source, `TypeError` for what is no frame.
        """
        self._check(frame)
        budget = current_budget()
        if budget.spend():
            await budget.turn()
            self._check_open(frame)
        if self._lanes.try_put(self._source, frame):
            return
        try:
            await self._lanes.put(self._source, frame, lambda: self._check_open(frame))
        except SendClosed:  # told by the channel, which does not know the frame
            self._check_open(frame)
            raise

    def try_send(self, frame: Frame) -> None:
        """`send` without waiting. Raises `Full`, with the frame, and what `send` does."""
        self._check(frame)
        if not self._lanes.try_put(self._source, frame):
            raise self._full(frame)

    def close(self) -> None:
        """Send no more; what was accepted is processed. Closing twice is harmless."""
        self._lanes.close(self._source)

    @property
    def source_id(self) -> int:
        return self._source.source_id

    @property
    def kind(self) -> FeedKind:
        return self._source.kind

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent from here any more."""
        return self._source.closed or self._token.is_cancelled

    def _check(self, frame: Frame) -> None:
        if frame.__class__ is not Frame:
            raise TypeError(f"Expected a Frame, got {type(frame).__name__}")
        source = self._source
        if frame.source_id != source.source_id:
            raise ValueError(f"Expected a frame of source {source.source_id}, got {frame!r}")
        if frame.priority.__class__ is not FramePriority:
            raise TypeError(f"Expected priority as FramePriority, got {frame.priority!r}")
        self._check_open(frame)

    def _check_open(self, frame: Frame) -> None:
        if self._token.is_cancelled:
            self._account.rejected += 1
            raise ShuttingDown(frame)
        if self._source.closed:
            raise SendClosed(self._source.feed.name, frame)

    def _full(self, frame: Frame) -> Full:
        urgent = frame.priority is FramePriority.EMERGENCY
        inlet = self._lanes.urgent_in if urgent else self._source.inlet
        return Full(inlet.name, frame, inlet.capacity, inlet.capacity)

    async def __aenter__(self) -> SourceHandle:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open"
        return f"<SourceHandle {self.source_id}, {self.kind.value}, {state}>"
