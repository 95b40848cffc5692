"""One run of a scenario: real threads of which one at a time holds the baton.

A thread gives the baton away only at a scheduling point, which stands before every operation of the
bundle. The thread at the point decides itself who goes on; when that is itself nothing is handed
over, so that a step costs about a microsecond and only a change of threads two lock operations.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock, get_ident
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from random import Random
from types import FrameType
from typing import Any, NoReturn

from meridian.testing.interleave.carriers import Carriers, raise_in, sleep_for_ever
from meridian.testing.interleave.records import Kind, NotDeterministic, ScenarioStuck, Step
from meridian.testing.interleave.schedule import FAIR_AFTER, Schedule
from meridian.testing.interleave.tasks import Gate, Task, Unwind, place_of

__all__ = ["Run"]

FAIR_AFTER_BYTECODES = 2_000
MAX_UNWINDS = 1_000  # operations after which a thread that swallows `Unwind` is given up


class Run:
    """The threads of one execution, its virtual clock, and what it ended in.

    A `Schedule` decides who goes on. With `record` the steps are recorded, at three times the
    cost. `preempt_in` names source files whose every bytecode is a scheduling point.
    """

    def __init__(
        self,
        carriers: Carriers,
        script: Sequence[int] = (),
        *,
        max_steps: int,
        rng: Random | None = None,
        preempt_chance: float = 0.0,
        record: bool = False,
        preempt_in: Iterable[str] = (),
        stall_s: float = 30.0,
    ) -> None:
        self._carriers = carriers
        self._max_steps = max_steps
        self._files = frozenset(preempt_in)
        self._stall_s = stall_s
        self.record = record
        self.trace: list[Step] = []
        self.tasks: list[Task] = []
        fair_after = FAIR_AFTER_BYTECODES if self._files else FAIR_AFTER
        self.schedule = Schedule(self.tasks, script, rng, preempt_chance, fair_after)
        self.alive: list[Task] = []
        self.made = 0  # locks and conditions
        self.names: Counter[tuple[str, str]] = Counter()  # of these, in a trace
        self.steps = 0
        self.clock_ns = 1_000_000_000
        self.over = False
        self.stalled = False  # ended because a thread took no step: seldom so again
        self.failure: tuple[Kind, str, BaseException | None] | None = None
        self.broken: Exception | None = None  # a fault of the scenario that is no finding
        self._ended = allocate_lock()
        self._ended.acquire()
        self._current: Task

    # What the primitives call.

    def add(self, name: str, body: Callable[[], object], *, daemon: bool) -> Task:
        """A task that is not begun."""
        task = Task(len(self.tasks), name, body, daemon)
        self.tasks.append(task)
        return task

    def begin(self, task: Task) -> None:
        """Make `task` one that may be chosen."""
        task.carrier = self._carriers.take(task.index)
        task.carrier.load(self, task)
        self.alive.append(task)

    def here(self) -> Task:
        """The task that calls."""
        task = self._current
        if task.carrier is None or task.carrier.ident != get_ident():
            raise RuntimeError(
                "A lock of a scenario belongs to its run: use it only while the run lasts, in the "
                "scenario, its check and the threads of the bundle"
            )
        return task

    def point(
        self,
        operation: str,
        target: object = "",
        gate: Gate | None = None,
        timeout_s: float | None = None,
    ) -> Task:
        """Let the schedule decide who goes on; return when it is the caller and `gate` is open.

        Or when the timeout expired: then ``task.expired`` is true.
        """
        me = self.here()
        if self.over:
            self._unwind(me)
        self.steps += 1
        if self.steps > self._max_steps:
            self.fail("livelock", f"not at an end after {self._max_steps:,} steps")
        if self.record:
            me.pending = (operation, str(target), place_of(sys._getframe(1)))
        me.gate = gate
        me.expired = False
        me.deadline_ns = None if timeout_s is None else self.clock_ns + max(0, int(timeout_s * 1e9))
        chosen = self._choose(me, gate is None or gate.open)
        if chosen is not me:
            self._current = chosen
            chosen.carrier.baton.release()  # type: ignore[union-attr]
            me.carrier.baton.acquire()  # type: ignore[union-attr]
            if self.over:
                self._unwind(me)
        me.gate = None
        if self.record:
            operation, said, where = me.pending
            self._record(me, f"{operation} timed out" if me.expired else operation, said, where)
        return me

    def fail(self, kind: Kind, message: str, error: BaseException | None = None) -> NoReturn:
        """End the run with a finding."""
        if not self.over:
            self.over = True
            self.failure = (kind, message, error)
            if self.record:
                for task in self.alive:
                    if task.gate is not None and not task.gate.open:
                        operation, target, where = task.pending
                        self._record(task, f"stuck: {operation}", target, where)
        raise Unwind

    def _record(self, task: Task, operation: str, target: str = "", where: str = "") -> None:
        self.trace.append(Step(task.name, operation, target, where, self.clock_ns))

    # Who goes on.

    def _choose(self, me: Task, enabled: bool) -> Task:
        try:
            choice = self.schedule.choose(me, enabled, self.alive)
        except NotDeterministic as error:
            self._break(error)
            raise Unwind from None
        if choice is None:
            self._deadlock()
        if choice < 0:
            choice = ~choice
            self._expire(self.tasks[choice])
        return self.tasks[choice]

    def _expire(self, task: Task) -> None:
        """Let time pass to the deadline of `task`; whatever ends by then has run out."""
        assert task.deadline_ns is not None
        self.clock_ns = max(self.clock_ns, task.deadline_ns)
        for other in self.alive:
            if (
                other.deadline_ns is not None
                and other.deadline_ns <= self.clock_ns
                and other.gate is not None
                and not other.gate.open
            ):
                other.expired = True
                other.gate = None

    def _deadlock(self) -> NoReturn:
        """Nobody can go on: say who waits for what."""
        waits = [(task.name, task.gate) for task in self.alive if task.gate is not None]
        kinds = {gate.kind for _, gate in waits}
        lost = "condition" in kinds and "lock" not in kinds
        said = "; ".join(f"{name} waits for {gate}" for name, gate in waits)
        self.fail("lost-wakeup" if lost else "deadlock", said)

    def _break(self, error: NotDeterministic) -> None:
        self.broken = error
        self.over = True

    # The life of a thread, in its carrier.

    def live(self, task: Task) -> Callable[[], None]:
        """Run the body of `task`; the result hands the baton on."""
        following: Task | None = None
        try:
            if not self.over:
                self._execute(task)
                task.open = True
                self.alive.remove(task)
                if task.index:
                    following = self._choose(task, False)
                self.over = self.over or not task.index
        except Unwind:
            if not self.over:  # raised by a lock of a run before this one
                number = len(self.schedule.choices)
                earlier = ("those of an earlier one",)
                self._break(NotDeterministic(number, "the locks of this run", earlier))
        except BaseException as error:
            if not self.over:
                kind: Kind = "assert" if isinstance(error, AssertionError) else "exception"
                said = f"{type(error).__name__} in {task.name}"
                self.failure = (kind, f"{said}: {error}" if str(error) else said, error)
                self.over = True
        task.open = True
        if following is None or following.carrier is None:
            return self._ended.release
        self._current = following
        return following.carrier.baton.release

    def _execute(self, task: Task) -> None:
        if self.record:
            self._record(task, "begin")
        if self._files:
            sys.settrace(self._trace)
        try:
            task.body()
        except SystemExit:  # ends a thread in silence, as in `threading`
            if not task.index:
                raise
        finally:
            if self._files:
                sys.settrace(None)
        if self.record:
            self._record(task, "end")

    def _trace(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        if event == "call":
            if frame.f_code.co_filename not in self._files:
                return None
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
        elif event == "opcode":
            self.point("bytecode")
        return self._trace

    def _unwind(self, me: Task) -> NoReturn:
        me.unwinds += 1
        if me.unwinds > MAX_UNWINDS:
            self._give_up(me, place_of(sys._getframe(1)))
            self._ended.release()
            sleep_for_ever()
        raise Unwind

    # The caller of `explore`.

    def go(self, main: Task) -> None:
        """Run it all, and leave no thread of it behind."""
        self._current = main
        self.begin(main)
        try:
            main.carrier.baton.release()  # type: ignore[union-attr]
            self._await()
        except BaseException:  # an interrupt of the caller
            self.over = True
            self._await()
            raise
        finally:
            for task in self.alive:
                if not task.open:
                    self._current = task
                    task.carrier.baton.release()  # type: ignore[union-attr]
                    self._await()
        if self.broken is not None:
            raise self.broken
        self.schedule.check_finished()

    def _await(self) -> None:
        """Wait until a thread says that it ended the run, or that it is unwound."""
        seen = -1
        while not self._ended.acquire(timeout=self._stall_s):
            if self.steps != seen and not self.over:
                seen = self.steps
                continue
            task = self._current  # it loops, or waits outside of the bundle
            assert task.carrier is not None
            frame = sys._current_frames().get(task.carrier.ident or 0)
            where = place_of(frame)
            if not self.over:
                self.stalled = True
                said = f"{task.name} made no step in {self._stall_s:g} s, {where}"
                self.failure = ("livelock", said, None)
                self.over = True
            raise_in(task.carrier, Unwind)
            if not self._ended.acquire(timeout=self._stall_s):
                self._give_up(task, where)
            return

    def _give_up(self, task: Task, where: str) -> None:
        assert task.carrier is not None
        task.open = True
        self.broken = self.broken or ScenarioStuck(task.name, where)
        self._carriers.abandon(task.carrier)
