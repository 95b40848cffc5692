"""What a channel answers instead of a value. Those with `item` hand it back: nothing is lost."""

from __future__ import annotations

from meridian.errors import MeridianError

__all__ = [
    "AlreadySent",
    "ChannelClosed",
    "Empty",
    "Full",
    "Lagged",
    "ReplyDropped",
    "SendClosed",
    "SendTimeout",
]


class ChannelClosed(MeridianError, EOFError):
    """Closed and drained: nothing will come any more."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Channel {name} is closed and empty")


class SendClosed(MeridianError, BrokenPipeError):
    """This end is closed, or the other has gone; `item` was not sent."""

    def __init__(self, name: str, item: object = None) -> None:
        self.name = name
        self.item = item
        super().__init__(f"Channel {name} takes nothing any more: one of its ends is closed")


class Full(MeridianError, BlockingIOError):
    """No room now; `item` was not sent."""

    def __init__(self, name: str, item: object, used: int, capacity: int) -> None:
        self.name = name
        self.item = item
        self.used = used
        self.capacity = capacity
        super().__init__(f"Channel {name} is full: {used} of {capacity} used")


class SendTimeout(MeridianError, TimeoutError):
    """No room in all that time; `item` was not sent."""

    def __init__(self, name: str, item: object, seconds: float) -> None:
        self.name = name
        self.item = item
        self.seconds = seconds
        super().__init__(f"Channel {name} had no room for {seconds:g} s")


class Empty(MeridianError, BlockingIOError):
    """Nothing to receive now; something may come."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Channel {name} is empty")


class Lagged(MeridianError, LookupError):
    """A subscriber was too slow: the oldest `missed` items it had not read are gone.

    Told once; the next call reads on at the oldest item that is still held.
    """

    def __init__(self, name: str, missed: int) -> None:
        self.name = name
        self.missed = missed
        super().__init__(f"Channel {name} has gone on: {missed} items were missed")


class ReplyDropped(MeridianError, EOFError):
    """Whoever was to answer is gone, and has not."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Channel {name} will have no answer: its sender was closed or dropped")


class AlreadySent(MeridianError, RuntimeError):
    """A oneshot carries one value, and has carried it; `item` was not sent."""

    def __init__(self, name: str, item: object) -> None:
        self.name = name
        self.item = item
        super().__init__(f"Channel {name} carries one value, and it was sent")
