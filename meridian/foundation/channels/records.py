"""What a channel tells of itself, and how a sender that waits stands in it."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar, cast

import msgspec

__all__ = ["ChannelStats", "PendingSend", "Wakeable"]

T = TypeVar("T")


class ChannelStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel has done so far; amounts are weights where items are weighed."""

    sent: int
    received: int
    rejected: int
    """Refused by `try_send`, or because an end was closed; of an item that was split, the rest."""
    timed_out: int
    """Given up by `send_timeout` and `blocking_send`; of an item that was split, the rest."""
    send_blocked_s: float
    """Time that senders have waited for room, all together."""
    recv_blocked_s: float
    max_used: int


class Wakeable(Protocol):
    """The promise of `Waiter.wake`: ``True`` once, or never."""

    def wake(self) -> bool: ...


class PendingSend(Generic[T]):
    """A sender that waits: for its item to be moved in, or for room to be kept for it."""

    __slots__ = ("closed", "item", "reserves", "rest_weight", "waiter", "weight")

    def __init__(
        self,
        item: T | None,
        weight: int,
        waiter: Wakeable,
        *,
        rest_weight: int = 0,
        reserves: bool = False,
    ) -> None:
        self.item = cast(T, item)  # of no meaning where room is kept
        self.weight = weight
        self.rest_weight = rest_weight or weight
        """What is lost to the channel where this is refused: the parts behind it as well."""
        self.waiter = waiter
        self.reserves = reserves
        self.closed = False
