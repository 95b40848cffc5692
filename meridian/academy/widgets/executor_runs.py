"""A small program on a real executor, and what the executor holds after each of its steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from meridian.foundation.tasks import (
    PENDING,
    Context,
    MiniExecutor,
    MiniTask,
    Pending,
    Ready,
    Waker,
    from_coroutine,
    polled,
)
from meridian.foundation.tasks.poll_events import StepEvent

__all__ = ["Mailbox", "Shot", "TaskState", "run_program"]

_MOST_STEPS = 100


class Mailbox:
    """Room for one verdict. Whoever polls an empty one leaves its waker here, or forgets to."""

    def __init__(self, *, keeps_waker: bool = True) -> None:
        self._keeps_waker = keeps_waker
        self._waker: Waker | None = None
        self._verdict: Ready[bool] | None = None

    def put(self, verdict: bool) -> None:
        """Leave a verdict, and wake the task that waits for it."""
        self._verdict = Ready(verdict)
        waker, self._waker = self._waker, None
        if waker is not None:
            waker.wake()

    def poll(self, cx: Context) -> Ready[bool] | Pending:
        if self._verdict is not None:
            return self._verdict
        if self._keeps_waker:
            self._waker = cx.waker.clone()
        return PENDING


class TaskState(NamedTuple):
    """One task: queued, pending, or done; `lost` when it is pending and nobody can wake it."""

    name: str
    state: str
    polls: int
    lost: bool


class Shot(NamedTuple):
    """The executor between two steps, and a sentence on the step before."""

    at_s: float
    queue: tuple[str, ...]
    tasks: tuple[TaskState, ...]
    polled: str
    said: str


def run_program(*, forgets: bool = False) -> list[Shot]:
    """Three tasks: a session waits for the verdict of a validator, beside a heartbeat.

    With `forgets`, the mailbox between them breaks the promise that ``PENDING`` is.
    """
    executor = MiniExecutor()
    mailbox = Mailbox(keeps_waker=not forgets)

    async def session() -> str:
        return "forward" if await polled(mailbox) else "reject"

    async def validate() -> None:
        await polled(executor.sleep(0.2))
        mailbox.put(True)

    async def heartbeat() -> None:
        for _ in range(3):
            await polled(executor.sleep(0.1))

    tasks: list[MiniTask[Any]] = [
        executor.spawn(from_coroutine(session()), "session"),
        executor.spawn(from_coroutine(validate()), "validator"),
        executor.spawn(from_coroutine(heartbeat()), "heartbeat"),
    ]
    shots = [_shot(executor, tasks, "", "Three tasks are spawned. A new task counts as woken.")]
    while len(shots) < _MOST_STEPS:
        before = len(executor.trace)
        event = executor.step()
        if event is None:
            break
        happened = executor.trace[before:]
        shots.append(_shot(executor, tasks, event.task, _sentence(event, happened)))
    shots.append(_shot(executor, tasks, "", _end(tasks, polls=tasks[0].polls)))
    return shots


def _shot(executor: MiniExecutor, tasks: list[MiniTask[Any]], polled: str, said: str) -> Shot:
    states = tuple(
        TaskState(t.name, t.state, t.polls, t.state == "pending" and not t.wakeable) for t in tasks
    )
    return Shot(executor.now(), executor.run_queue, states, polled, said)


def _sentence(event: StepEvent, happened: list[StepEvent]) -> str:
    asked = [e.kind for e in happened].index("polled")
    rang = [e.task for e in happened[:asked] if e.kind == "woken"]
    woken = [e.task for e in happened[asked:] if e.kind == "woken"]
    ready = any(e.kind == "ready" for e in happened)
    answer = "Ready, so it is done and dropped" if ready else "PENDING"
    words = f"the executor polls {event.task}: {answer}"
    if rang:
        words = f"the timer of {' and that of '.join(rang)} rings; {words}"
    if woken:
        words += f". In it, {' and '.join(woken)} was woken"
    return words[0].upper() + words[1:] + "."


def _end(tasks: list[MiniTask[Any]], *, polls: int) -> str:
    stuck = [task.name for task in tasks if not task.done]
    if not stuck:
        return "Nothing is queued, no timer is set, and every task is done."
    return (
        f"Nothing is queued and no timer is set. {stuck[0]} was polled {polls} time"
        f"{'s' * (polls != 1)} and never will be again: nobody holds its waker. No error."
    )
