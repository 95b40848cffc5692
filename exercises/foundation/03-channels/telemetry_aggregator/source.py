"""What one source sends by."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from .records import Frame

if TYPE_CHECKING:
    from .aggregator import TelemetryAggregator
__all__ = ["SourceHandle"]


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
        raise NotImplementedError(
            "foundation/03-channels #3, #6: SourceHandle.send() - wait for room, or refuse"
        )

    def try_send(self, frame: Frame) -> None:
        """`send` without waiting. Raises `Full` with the frame, and what `send` does."""
        raise NotImplementedError(
            "foundation/03-channels #3: SourceHandle.try_send() - Full instead of waiting"
        )

    def close(self) -> None:
        """Send no more; what was accepted is processed. Closing twice is harmless."""
        raise NotImplementedError(
            "foundation/03-channels #2: SourceHandle.close() - no more; free the id if empty"
        )

    async def __aenter__(self) -> SourceHandle:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
