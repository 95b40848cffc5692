"""The right to send without waiting: the credit that flow control is made of."""

from __future__ import annotations

import functools
from types import TracebackType
from typing import Generic, TypeVar

from meridian.foundation.channels.buffer import Buffer
from meridian.foundation.channels.payload import weigh_checked

__all__ = ["Permit"]

T = TypeVar("T")


class Permit(Generic[T]):
    """Room that is kept for one item. Use it, close it, use it with ``with``, or drop it.

    It counts against the capacity until then.
    """

    __slots__ = ("_buffer", "_open", "weight")

    def __init__(self, buffer: Buffer[T], weight: int) -> None:
        self._buffer = buffer
        self._open = True
        self.weight = weight

    def send(self, item: T) -> None:
        """Put `item` into the room that is kept.

        Raises `SendClosed` when the receiver has gone, `RuntimeError` when the permit was used or
        closed before, and `ValueError`, with the permit as good as before, for an item that is
        heavier than the permit.
        """
        buffer = self._buffer
        buffer.enter()
        if not self._open:
            raise RuntimeError(f"This permit of channel {buffer.name} was used: reserve another")
        weight = weigh_checked(buffer.weigh, item)
        if weight > self.weight:
            raise ValueError(
                f"An item of weight {weight} does not fit into a permit for {self.weight}: "
                f"reserve({weight})"
            )
        self._open = False
        if not buffer.receiving:
            buffer.release(self.weight)
            raise buffer.refused(item, weight)
        buffer.reserved -= self.weight
        buffer.put(item, weight)
        buffer.release(0)

    def close(self) -> None:
        """Give the room back. Closing twice, or after `send`, is harmless."""
        if self._open:
            self._buffer.enter()
            self._open = False
            self._buffer.release(self.weight)

    def __enter__(self) -> Permit[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._open:
            self._open = False
            self._buffer.abandoned(functools.partial(self._buffer.release, self.weight))

    def __repr__(self) -> str:
        state = f"for {self.weight}" if self._open else "used"
        return f"<permit {state} of {self._buffer.describe()}>"
