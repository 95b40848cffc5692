"""What to do with an item that there is no room for: let it go, and account for it exactly.

A log line for every loss is a second flood on top of the first; a line per thousand losses hides
the last 999. `DropCounter` counts every one and tells at most once per interval.
"""

from __future__ import annotations

import math
from types import TracebackType
from typing import Protocol, TypeVar

import structlog

from meridian.checks import checked_int, checked_seconds
from meridian.clock import Clock, SystemClock
from meridian.foundation.channels.errors import Full

__all__ = ["DropCounter", "forward_or_drop"]

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
_log = structlog.get_logger(__name__)


class _TrySender(Protocol[T_contra]):
    def try_send(self, item: T_contra, /) -> object: ...


class DropCounter:
    """Counts losses, and logs at most one line per `interval_s` with the number since the last.

    The first loss is told at once. What follows within the interval is told by the next `add` or
    `flush` after it, or by `close`: the lines always sum up to `total`, and none tells zero. One
    thread's.
    """

    def __init__(
        self,
        name: str,
        interval_s: float = 1.0,
        clock: Clock | None = None,
        *,
        event: str = "items_dropped",
        field: str = "dropped",
    ) -> None:
        """Log `event` with `name`, with the number since the last line as `field`, and `total`.

        Raises `TypeError` or `ValueError` for an interval that is no finite time.
        """
        self.name = name
        self.interval_s = checked_seconds("interval_s", interval_s, finite=True)
        self.total = 0
        self.untold = 0
        self._clock = clock or SystemClock()
        self._event = event
        self._field = field
        self._told_at_s = -math.inf

    def add(self, count: int = 1) -> None:
        """Count so many more. Raises `TypeError` or `ValueError` for what is no int >= 0."""
        if type(count) is not int or count < 0:
            count = checked_int("count", count)
        self.total += count
        self.untold += count
        self.flush()

    def flush(self) -> int:
        """Tell what is untold, if the interval has passed; how many were told."""
        if not self.untold:
            return 0
        now_s = self._clock.monotonic()
        if now_s - self._told_at_s < self.interval_s:
            return 0
        self._told_at_s = now_s
        return self._tell()

    def close(self) -> None:
        """Tell what is untold, now. Closing twice tells nothing new."""
        if self.untold:
            self._tell()

    def _tell(self) -> int:
        count, self.untold = self.untold, 0
        _log.warning(self._event, name=self.name, **{self._field: count}, total=self.total)
        return count

    def __enter__(self) -> DropCounter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DropCounter {self.name}: {self.total}, {self.untold} untold>"


def forward_or_drop(sender: _TrySender[T], item: T, counter: DropCounter) -> bool:
    """Send `item` now, or count it as lost; whether it was sent.

    For live data, where the newest matters and waiting would only make all of it old. Raises
    `SendClosed`, with the item, when the receiver has gone: that is no loss of one item, but the
    end.
    """
    try:
        sender.try_send(item)
    except Full:
        counter.add()
        return False
    return True
