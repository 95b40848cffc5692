"""What one source sends by."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from .records import Frame

if TYPE_CHECKING:
    from .aggregator import TelemetryAggregator
### BEGIN SOLUTION
# isort: split
from contextlib import suppress

import anyio

from meridian.foundation.channels import Full, Receiver, SendClosed, Sender, channel

from .records import FeedKind

### END SOLUTION
__all__ = ["SourceHandle"]


### BEGIN SOLUTION
class _Source:
    """One source: a bounded feed for its routine frames, and how it ends."""

    def __init__(self, source_id: int, kind: FeedKind, capacity: int) -> None:
        self.source_id = source_id
        self.kind = kind
        self.inlet: Sender[Frame]
        self.feed: Receiver[Frame]
        self.inlet, self.feed = channel(capacity)
        self.closed = False
        self.discarded = 0
        self.gone = anyio.Event()


### END SOLUTION
class SourceHandle:
    """What one source sends by; several tasks may share it. Close it, or use ``async with``."""

    def __init__(self, aggregator: TelemetryAggregator, source: Any) -> None:
        self._aggregator = aggregator
        self._source = source

    async def send(self, frame: Frame) -> None:
        """Have `frame` accepted as soon as there is room for it; cancelled, it was not.

        Raises `ShuttingDown` with the frame once a shutdown was requested, also when it waited;
        `SendClosed` with the frame when this source was closed or removed; `ValueError` for a
        frame of another source.
        """
        ### BEGIN SOLUTION #3, #6: SourceHandle.send() - wait for room, or refuse
        with suppress(Full):
            self.try_send(frame)
            return
        aggregator, source = self._aggregator, self._source
        try:
            with await aggregator._inlet(source, frame).reserve() as permit:
                aggregator._check(source, frame)  # it may be over since
                permit.send(frame)
        except SendClosed:
            aggregator._check(source, frame)  # says why
            raise
        aggregator._accepted(source, frame)
        ### END SOLUTION

    def try_send(self, frame: Frame) -> None:
        """`send` without waiting. Raises `Full` with the frame, and what `send` does."""
        ### BEGIN SOLUTION #3: SourceHandle.try_send() - Full instead of waiting
        aggregator, source = self._aggregator, self._source
        aggregator._check(source, frame)
        aggregator._inlet(source, frame).try_send(frame)
        aggregator._accepted(source, frame)
        ### END SOLUTION

    def close(self) -> None:
        """Send no more; what was accepted is processed. Closing twice is harmless."""
        ### BEGIN SOLUTION #2: SourceHandle.close() - no more; free the id if empty
        self._aggregator._close(self._source)
        ### END SOLUTION

    async def __aenter__(self) -> SourceHandle:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
