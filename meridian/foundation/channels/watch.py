"""The latest value, for all who care: what lies between may be skipped, the last never is.

For state (configuration, health, "stop now"), where an old value is of no use; events that each
count go through `broadcast`. The model is Tokio's ``watch``, but for `WatchReceiver.borrow`: there
it holds a read lock that a sender waits for, here it reads one attribute that never changes in
itself, and so may be called in any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, NamedTuple, TypeVar

import msgspec

from meridian.foundation.channels.closing import warn_unclosed
from meridian.foundation.channels.errors import ChannelClosed, SendClosed
from meridian.foundation.channels.payload import freeze
from meridian.foundation.channels.shared_state import SharedState
from meridian.foundation.tasks.readiness import CLOSED, PENDING, Closed, Pending, Ready

__all__ = ["WatchReceiver", "WatchSender", "WatchStats", "watch"]

T = TypeVar("T")
_here = threading.get_ident


def watch(
    initial: T, *, name: str | None = None, freeze: bool = True
) -> tuple[WatchSender[T], WatchReceiver[T]]:
    """A value that starts as `initial`, and a receiver that has seen it.

    With `freeze`, arrays are made read-only when they are sent: all will share them.
    """
    shared = _Shared(initial, name, freezes=freeze)
    return WatchSender(shared), WatchReceiver(shared, 0)


class WatchStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a watch has done so far."""

    sent: int
    waiting: int
    """Tasks that wait for a change now."""


class _Current(NamedTuple, Generic[T]):
    """A value and how many came before it: replaced as one, never changed."""

    value: T
    version: int


class _Shared(SharedState, Generic[T]):
    def __init__(self, initial: T, name: str | None, *, freezes: bool) -> None:
        super().__init__("watch", name)
        self.freezes = freezes
        self.current = self._made(initial, 0)

    def replace(self, value: T) -> None:
        self.current = self._made(value, self.current.version + 1)
        self.waiters.call_all()

    def _made(self, value: T, version: int) -> _Current[T]:
        if self.freezes:
            freeze(value)
        return _Current(value, version)

    @property
    def sent(self) -> int:
        return self.current.version

    def statistics(self) -> WatchStats:
        return WatchStats(sent=self.sent, waiting=len(self.waiters))

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<watch {self.name}: version {self.current.version}, {state}>"


class WatchSender(Generic[T]):
    """The end that values go in at; several tasks may share it. Close it, or use ``async with``."""

    def __init__(self, shared: _Shared[T]) -> None:
        self._shared = shared

    def send(self, value: T) -> None:
        """Replace the value, at once, and wake those who wait; that nobody does is no error.

        Raises `SendClosed`, with the value, after `close`.
        """
        self._check_open(value)
        self._shared.replace(value)

    def send_if_changed(self, value: T) -> bool:
        """`send` unless `value` is the current one, or equal to it; whether it was sent.

        Raises what comparing raises: `ValueError` for arrays.
        """
        self._check_open(value)
        current = self._shared.current.value
        if value is current or value == current:
            return False
        self._shared.replace(value)
        return True

    def subscribe(self) -> WatchReceiver[T]:
        """A receiver that has seen the current value: `changed` waits for the next.

        A flag that may be up already is awaited with `wait_for`, which looks first.
        """
        return WatchReceiver(self._shared, self._shared.current.version)

    def borrow(self) -> T:
        """The current value, in any thread."""
        return self._shared.current.value

    def close(self) -> None:
        """Send no more; the last value can still be read.

        From any thread; closing twice is harmless.
        """
        self._shared.from_anywhere(self._shared.end)

    @property
    def name(self) -> str:
        return self._shared.name

    @property
    def version(self) -> int:
        """How many values were sent so far."""
        return self._shared.current.version

    @property
    def is_closed(self) -> bool:
        return self._shared.closed

    def statistics(self) -> WatchStats:
        return self._shared.statistics()

    def _check_open(self, value: T) -> None:
        shared = self._shared
        if shared.thread != _here():
            shared.enter()
        if shared.closed:
            raise SendClosed(shared.name, value)

    async def __aenter__(self) -> WatchSender[T]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        shared = self._shared
        if not shared.closed:
            awaited = shared.is_awaited
            shared.closed = True
            shared.abandoned(shared.waiters.call_all)
            if awaited:
                warn_unclosed(shared, "sender")

    def __repr__(self) -> str:
        return f"<WatchSender {self._shared!r}>"


class WatchReceiver(Generic[T]):
    """One who looks, and remembers what it has seen. A branch of `select`, ready when changed.

    There is nothing to close: a receiver costs the sender nothing while it does not wait. Looking
    (`borrow`, `borrow_and_update`, `has_changed`, `version`) and `clone` may be done in any
    thread, waiting in the loop that the watch belongs to.
    """

    def __init__(self, shared: _Shared[T], seen: int) -> None:
        self._shared = shared
        self._seen = seen

    def borrow(self) -> T:
        """The current value; `changed` will still tell of it. In any thread, without a lock."""
        return self._shared.current.value

    def borrow_and_update(self) -> T:
        """The current value, which counts as seen from now on."""
        current = self._shared.current
        self._seen = current.version
        return current.value

    @property
    def has_changed(self) -> bool:
        """Whether there is a value that was not seen yet."""
        return self._shared.current.version != self._seen

    async def changed(self) -> None:
        """Until there is a value that was not seen yet, which counts as seen then.

        Raises `ChannelClosed` when the last value was seen and no other will come. Cancelled, it
        has seen none. Need not wait: yields every 128th time.
        """
        shared = self._shared
        if shared.thread != _here():
            shared.enter()
        if shared.budget.spend():
            await shared.budget.turn()
        await shared.wait_until(self._has_news)
        self._seen = shared.current.version

    async def wait_for(self, predicate: Callable[[T], bool]) -> T:
        """The first value that `predicate` holds for, the current one included; it counts as seen.

        Raises `ChannelClosed` when it does not hold for the last value, and what it raises itself.
        """
        shared = self._shared
        if shared.thread != _here():
            shared.enter()
        if shared.budget.spend():
            await shared.budget.turn()
        current = shared.current

        def holds() -> bool:
            nonlocal current
            current = shared.current
            while not predicate(current.value):
                if current is shared.current:
                    if shared.closed:
                        raise ChannelClosed(shared.name)
                    return False
                current = shared.current  # the predicate itself has sent it
            return True

        await shared.wait_until(holds)
        self._seen = current.version
        return current.value

    def clone(self) -> WatchReceiver[T]:
        """Another that has seen what this one has."""
        return WatchReceiver(self._shared, self._seen)

    @property
    def name(self) -> str:
        return self._shared.name

    @property
    def version(self) -> int:
        """How many values were sent so far, seen or not."""
        return self._shared.current.version

    @property
    def is_closed(self) -> bool:
        """Whether the current value is the last."""
        return self._shared.closed

    # -- as a branch of select -------------------------------------------------------------------

    def try_take(self) -> Ready[T] | Pending | Closed:
        """The current value, if it was not seen yet; it counts as seen then."""
        if self.has_changed:
            return Ready(self.borrow_and_update())
        return CLOSED if self._shared.closed else PENDING

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        shared = self._shared
        if shared.thread != _here():
            shared.enter()
        if self.has_changed or shared.closed:
            wake()
            return lambda: None
        return shared.add_waiter(wake)

    def _has_news(self) -> bool:
        if self.has_changed:
            return True
        if self._shared.closed:
            raise ChannelClosed(self._shared.name)
        return False

    def __repr__(self) -> str:
        return f"<WatchReceiver {self._shared!r}, version {self._seen} seen>"
