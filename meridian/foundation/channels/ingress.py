"""The command queue for tasks: who waits for a slot suspends a task, and no thread.

`CommandQueue` belongs to threads, and a thread that waits in `push` costs a stack and a hop. Here
commands that find the queue full wait in the loop, and whenever a slot is free the best of all
that wait is handed over, so that SAFE_MODE never stands behind the housekeeping of others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from heapq import heappop, heappush
from types import TracebackType
from typing import TypeAlias

import anyio
from anyio.lowlevel import checkpoint

from meridian.foundation.channels.capacity import checked_capacity
from meridian.foundation.channels.errors import SendClosed
from meridian.foundation.channels.loop_bound import LoopBound
from meridian.foundation.sync.cmdqueue import (
    Command,
    CommandQueue,
    PopTimeout,
    QueueBroken,
    QueueFull,
    QueueShutdown,
)
from meridian.foundation.sync.command import dispatch_key
from meridian.foundation.sync.errors import WrongThread
from meridian.foundation.tasks.blocking import BlockingPool
from meridian.foundation.tasks.parking import Waiter, call_at

__all__ = ["CommandIngress"]

_LOOK_S = 0.05
"""How often a full queue is looked at whose consumers are not dispatchers of this ingress."""
_POP_S = 0.25  # how long a cancelled dispatcher waits at most for its thread

_Key: TypeAlias = tuple[int, int, int]


class _Submission:
    """A command that is not in the queue yet; `waiter` is of the task whose it still is."""

    __slots__ = ("command", "key", "waiter")

    def __init__(self, command: Command, key: _Key) -> None:
        self.command = command
        self.key = key
        self.waiter: Waiter | None = None

    def __lt__(self, other: _Submission) -> bool:
        return self.key < other.key


class CommandIngress(LoopBound):
    """An asynchronous front of `queue`. Close it, or use it with ``async with``.

    It accepts `capacity` commands beyond what the queue holds (one more for a moment, where other
    producers take a slot that it saw); `submit` waits for a place among them. Order everywhere is
    that of dispatch: highest priority, smallest `issued_at`, first come.
    It belongs to one loop; the queue may have other producers and consumers, in any threads.
    """

    def __init__(self, queue: CommandQueue, *, capacity: int = 32) -> None:
        """Raises `TypeError` for what is no queue, `ValueError` for a capacity below 1."""
        if not isinstance(queue, CommandQueue):
            raise TypeError(f"Expected a CommandQueue, got {type(queue).__name__}")
        capacity = checked_capacity(capacity)
        super().__init__()
        self.name = "command ingress"
        self.capacity = capacity
        self._queue = queue
        self._accepted: list[_Submission] = []  # a heap, as is the next
        self._waiting: list[_Submission] = []
        self._arrivals = 0
        self._closed = False
        self._ended: QueueShutdown | QueueBroken | None = None  # what the queue answered
        self._emptied = anyio.Event()
        self._unlook: Callable[[], object] | None = None

    def misused(self) -> WrongThread:
        return WrongThread("This command ingress", "in other threads push to its queue")

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def waiting(self) -> int:
        """Tasks that wait in `submit`."""
        return len(self._waiting)

    def __len__(self) -> int:
        """Commands accepted that the queue has had no slot for yet."""
        return len(self._accepted)

    def __bool__(self) -> bool:
        return True

    # -- in --------------------------------------------------------------------------------------

    async def submit(self, cmd: Command) -> None:
        """Have `cmd` accepted; returned, it will be in the queue before this is closed.

        A checkpoint, passed before anything is accepted; cancelled, it was not. Raises
        `SendClosed`, with the command, after `close`; `QueueShutdown` or `QueueBroken` when the
        queue takes nothing any more; `TypeError` for what is no command.
        """
        if cmd.__class__ is not Command:
            raise TypeError(f"Expected `Command`, got `{type(cmd).__name__}`")
        await checkpoint()
        self.enter_loop()
        self._check_open(cmd)
        self._arrivals += 1
        submission = _Submission(cmd, (*dispatch_key(cmd), self._arrivals))
        submission.waiter = waiter = Waiter()
        heappush(self._waiting, submission)
        self._move()
        try:
            await waiter.wait()
        except BaseException:
            self._waiting = [each for each in self._waiting if each is not submission]
            self._waiting.sort()
            raise
        if submission.waiter is not None:  # woken, and not accepted
            self._check_open(cmd)

    def _check_open(self, cmd: Command) -> None:
        if self._ended is not None:
            raise self._ended
        if self._closed:
            raise SendClosed(self.name, cmd)

    def _move(self) -> None:
        """Hand the best over while the queue has room, and let the next best be accepted."""
        accepted, waiting, queue = self._accepted, self._waiting, self._queue
        try:
            while accepted or waiting:
                if not accepted or (waiting and waiting[0] < accepted[0]):
                    # Its task first: what a cancelled one wanted must not be done.
                    first = waiting[0].command
                    if not queue.has_room(first) and not queue.is_shutdown:
                        break
                    if not queue.is_shutdown and not self._accept_first():
                        continue
                    queue.push(first, timeout=0)
                else:
                    queue.push(accepted[0].command, timeout=0)
                heappop(accepted)
        except QueueFull:
            pass
        except (QueueShutdown, QueueBroken) as ended:
            self._ended = ended
            self._dismiss()
        while self._waiting and len(accepted) < self.capacity:
            self._accept_first()
        if self._closed and (not accepted or self._ended is not None):
            self._emptied.set()
        elif (accepted or self._waiting) and self._ended is None and self._unlook is None:
            self._unlook = call_at(anyio.current_time() + _LOOK_S, self._look)

    def _accept_first(self) -> bool:
        """Accept the best that waits; whether its task still means it."""
        submission = heappop(self._waiting)
        assert submission.waiter is not None
        if not submission.waiter.wake():
            return False
        submission.waiter = None
        heappush(self._accepted, submission)
        return True

    def _look(self) -> None:
        self._unlook = None
        self._move()

    def _dismiss(self) -> None:
        """Nothing will be accepted any more: tell those who wait."""
        waiting, self._waiting = self._waiting, []
        for submission in waiting:
            assert submission.waiter is not None
            submission.waiter.wake()

    # -- out -------------------------------------------------------------------------------------

    async def dispatcher(
        self,
        handler: Callable[[Command], Awaitable[object]],
        *,
        pool: BlockingPool | None = None,
    ) -> int:
        """Await `handler` for one command after another until the queue is shut down and empty.

        How many those were. A thread of `pool`, by default one of its own, waits while there is
        none. Several dispatchers may run. Cancelled, it waits up to 0.25 s for its thread, and a
        command that was popped meanwhile still goes to `handler`. Raises what `handler` does, and
        `QueueBroken`.
        """
        if not callable(handler):
            raise TypeError(f"Expected a handler to call, got {handler!r}")
        self.enter_loop()
        threads = BlockingPool(1, "command-dispatcher") if pool is None else pool
        dispatched = 0
        try:
            while True:
                await checkpoint()
                try:
                    command = self._queue.pop(timeout=0)
                except PopTimeout:
                    try:
                        command = await threads.run(self._queue.pop, _POP_S)
                    except PopTimeout:
                        continue
                if command is None:
                    return dispatched
                self._move()
                dispatched += 1
                await handler(command)
        finally:
            if pool is None:
                threads.close()

    # -- the end ---------------------------------------------------------------------------------

    async def close(self) -> None:
        """Accept nothing more, and shut the queue down when it has all that was accepted.

        Those who wait in `submit` get `SendClosed`. This waits for slots as long as it takes: a
        consumer has to run; cancelled, it may be called again. Twice is harmless. Raises
        `QueueShutdown`, with how many did not get in, when the queue was shut down before.
        """
        self.enter_loop()
        self._closed = True
        self._dismiss()
        self._move()
        await self._emptied.wait()
        if self._unlook is not None:
            self._unlook()
            self._unlook = None
        if self._accepted:
            raise QueueShutdown(0, len(self._accepted)) from self._ended
        self._queue.shutdown()

    async def __aenter__(self) -> CommandIngress:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return (
            f"<CommandIngress {len(self)} of {self.capacity} accepted, {self.waiting} waiting, "
            f"{state}, before {self._queue!r}>"
        )
