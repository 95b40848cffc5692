"""What both ends of a broadcast or a watch share: a name, a thread, and who waits for news."""

from __future__ import annotations

from collections.abc import Callable

from anyio.lowlevel import checkpoint_if_cancelled

from meridian.foundation.channels.loop_bound import LoopBound
from meridian.foundation.channels.registry import enlist
from meridian.foundation.sync.errors import WrongThread
from meridian.foundation.tasks.parking import Waiter, Waiters

__all__ = ["SharedState"]


class SharedState(LoopBound):
    """A channel whose every change is news to all who wait. Listed in the registry by its name.

    Ask ``state.thread != get_ident()`` before anything is changed, and `enter` where that is so.
    """

    def __init__(self, kind: str, name: str | None) -> None:
        super().__init__()
        self.waiters = Waiters()
        self.closed = False
        self.name = enlist(self, name, kind)

    @property
    def sent(self) -> int:
        """Items so far."""
        raise NotImplementedError

    def statistics(self) -> object:
        """A frozen record of what it has done so far."""
        raise NotImplementedError

    async def wait_until(self, ready: Callable[[], bool]) -> None:
        """Sleep until it is so, asked now and with every news.

        asyncio does not deliver a cancellation to a task that was woken just before: one that is
        woken in vain again and again has to look for it.
        """
        if ready():
            return
        while True:
            waiter = Waiter()
            remove = self.add_waiter(waiter.wake)
            try:
                await waiter.wait()
            finally:
                remove()
            if ready():
                return
            await checkpoint_if_cancelled()

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        self.enter_loop()
        return self.waiters.add(wake)

    @property
    def is_awaited(self) -> bool:
        return bool(self.waiters)

    def end(self) -> None:
        """Nothing is sent any more. Twice is harmless."""
        if not self.closed:
            self.closed = True
            self.waiters.call_all()

    def misused(self) -> WrongThread:
        return WrongThread(f"Channel {self.name}", "use its ends in the loop that used it first")
