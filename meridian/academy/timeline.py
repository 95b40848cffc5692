"""Who held the event loop, and when: the steps of every task of a program, recorded as it runs.

A task runs in steps: from where it is resumed to its next await that waits. Between two steps it
costs nothing and holds nothing. `record` runs a real anyio program in a thread of its own (a
notebook's loop is taken) and wraps the coroutine of every task, to write down each of its steps.
A program may add marks of its own with `mark`.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, cast

import msgspec

from meridian.errors import MeridianError

__all__ = ["Lane", "Mark", "RecordingLost", "Step", "Timeline", "mark", "record"]


class RecordingLost(MeridianError, RuntimeError):
    """A recorded program did not come to an end in its time."""

    def __init__(self, within_s: float) -> None:
        self.within_s = within_s
        super().__init__(f"The program did not end within {within_s:g} s: let it end by itself")


class Step(msgspec.Struct, frozen=True):
    """One task held the loop from `start_s` to `end_s`, seconds since the program began."""

    start_s: float
    end_s: float


class Mark(msgspec.Struct, frozen=True):
    """Something that happened at one moment of a task."""

    at_s: float
    label: str
    kind: str = "note"
    """``note``, ``raised`` (an exception was thrown in), ``ended``, ``failed`` or ``cancelled``."""


class Lane(msgspec.Struct):
    """One task: when it was made and when it was over, its steps, and what was marked there."""

    name: str
    start_s: float
    end_s: float | None = None
    steps: list[Step] = msgspec.field(default_factory=list)
    marks: list[Mark] = msgspec.field(default_factory=list)

    @property
    def busy_s(self) -> float:
        """Seconds in which it held the loop."""
        return sum(step.end_s - step.start_s for step in self.steps)


class Timeline(msgspec.Struct):
    """The tasks of one run in the order they were made."""

    lanes: list[Lane]
    error: str = ""
    """What the program raised, if it did."""

    @property
    def duration_s(self) -> float:
        ends = [lane.end_s or lane.start_s for lane in self.lanes]
        ends += [step.end_s for lane in self.lanes for step in lane.steps]
        return max(ends, default=0.0)

    def lane(self, name: str) -> Lane:
        """The task `name`. Raises `LookupError`."""
        for lane in self.lanes:
            if lane.name == name:
                return lane
        raise LookupError(f"No task {name!r}: there are {', '.join(x.name for x in self.lanes)}")

    def only(self, *names: str) -> Timeline:
        """These tasks alone, in this order. Raises `LookupError`."""
        return Timeline([self.lane(name) for name in names], self.error)


class _Recorder:
    """Collects the steps of the tasks of one loop, in its thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._zero = clock()
        self._since = 0.0
        self._lanes: list[tuple[Lane, Callable[[], str]]] = []
        self.current: Lane | None = None

    def now(self) -> float:
        return self._clock() - self._zero

    def begin(self, name: Callable[[], str]) -> Lane:
        """A new task; its name is asked for at the end, since it may be given late."""
        lane = Lane("", self.now())
        self._lanes.append((lane, name))
        return lane

    def resume(self, lane: Lane) -> None:
        self.current, self._since = lane, self.now()

    def suspend(self) -> None:
        assert self.current is not None
        self.current.steps.append(Step(self._since, self.now()))
        self.current = None

    def lanes(self) -> list[Lane]:
        """All tasks so far, named; of several with one name, the later ones are numbered."""
        used: Counter[str] = Counter()
        for lane, name in self._lanes:
            lane.name = name().rpartition(".")[2] or name()
            used[lane.name] += 1
            if used[lane.name] > 1:
                lane.name += f" {used[lane.name]}"
        return [lane for lane, _ in self._lanes]


_here = threading.local()


def mark(label: str) -> None:
    """Mark this moment of the running task; nothing where no program is recorded."""
    recorder: _Recorder | None = getattr(_here, "recorder", None)
    if recorder is not None and recorder.current is not None:
        recorder.current.marks.append(Mark(recorder.now(), label))


def record(
    program: Callable[..., Awaitable[Any]],
    *arguments: Any,
    backend: str = "asyncio",
    within_s: float = 60.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Timeline:
    """Run ``program(*arguments)`` to its end, and give the timeline of its tasks.

    What it raises is kept in `Timeline.error`: a failure is worth a picture as well. Raises
    `RecordingLost` when it takes longer than `within_s` (its thread is left behind), `ValueError`
    for another backend than asyncio and trio.
    """
    if backend not in ("asyncio", "trio"):
        raise ValueError(f"Expected backend 'asyncio' or 'trio', got {backend!r}")
    found: list[Timeline] = []

    def run() -> None:
        importlib.import_module(f"anyio._backends._{backend}")  # slow, and no part of the program
        recorder = _here.recorder = _Recorder(clock)
        error = ""
        try:
            (_on_asyncio if backend == "asyncio" else _on_trio)(recorder, program, arguments)
        except BaseException as raised:
            error = repr(raised)
        found.append(Timeline(recorder.lanes(), error))

    thread = threading.Thread(target=run, name="timeline", daemon=True)
    thread.start()
    thread.join(within_s)
    if not found:
        raise RecordingLost(within_s)
    return found[0]


class _Stepped(Coroutine[Any, Any, Any]):
    """A coroutine whose every step is told to a recorder."""

    def __init__(self, recorder: _Recorder, inner: Any, name: Callable[[], str]) -> None:
        self._recorder = recorder
        self._inner = inner
        self._lane = recorder.begin(name)
        self.__name__ = getattr(inner, "__name__", type(inner).__name__)
        self.__qualname__ = getattr(inner, "__qualname__", self.__name__)

    def __getattr__(self, name: str) -> Any:  # cr_frame and the like, for whoever looks inside
        return getattr(self._inner, name)

    def _step(self, function: Callable[..., Any], *arguments: Any) -> Any:
        recorder, lane = self._recorder, self._lane
        recorder.resume(lane)
        try:
            value = function(*arguments)
        except BaseException as error:
            recorder.suspend()
            lane.end_s = recorder.now()
            lane.marks.append(_ending(error, lane.end_s))
            raise
        recorder.suspend()
        return value

    def send(self, value: Any) -> Any:
        error = getattr(value, "error", None)  # trio sends an outcome, which the task unwraps
        if isinstance(error, BaseException):
            self._raised(type(error))
        return self._step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        self._raised(error[0] if isinstance(error[0], type) else type(error[0]))
        return self._step(self._inner.throw, *error)

    def _raised(self, thrown: type[BaseException]) -> None:
        self._lane.marks.append(Mark(self._recorder.now(), thrown.__name__, "raised"))

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()  # type: ignore[no-any-return]


def _ending(error: BaseException, at_s: float) -> Mark:
    if isinstance(error, StopIteration):
        return Mark(at_s, "", "ended")
    cancelled = type(error).__name__ in ("Cancelled", "CancelledError")
    return Mark(at_s, type(error).__name__, "cancelled" if cancelled else "failed")


async def _main(program: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]) -> None:
    await program(*arguments)


def _on_asyncio(
    recorder: _Recorder, program: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]
) -> None:
    def make(loop: asyncio.AbstractEventLoop, inner: Any, **kwargs: Any) -> asyncio.Task[Any]:
        stepped = _Stepped(recorder, inner, lambda: task.get_name())
        task: asyncio.Task[Any] = asyncio.Task(stepped, loop=loop, **kwargs)
        return task

    async def outside() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(make)
        try:
            await loop.create_task(_main(program, arguments), name="main")
        finally:
            loop.set_task_factory(None)

    with asyncio.Runner() as runner:
        runner.run(outside())


def _on_trio(
    recorder: _Recorder, program: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]
) -> None:
    import trio

    class Wrap(trio.abc.Instrument):
        """Wraps each new task but trio's own."""

        def task_spawned(self, task: trio.lowlevel.Task) -> None:
            name = task.name
            if not name.startswith(("trio.", "<")):
                name = "main" if name.endswith("._main") else name
                task.coro = cast("Any", _Stepped(recorder, task.coro, lambda: name))

    trio.run(_main, program, arguments, instruments=[Wrap()])
