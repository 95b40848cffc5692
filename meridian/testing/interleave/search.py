"""The search: every schedule up to a bound on preemptions, then chance.

The bound is that of CHESS (Musuvathi and Qadeer, PLDI 2007): a change of threads where the running
one could have gone on is a preemption, and most bugs need one or two. All schedules with none are
run first, then those with one, and so on, so that the first failure has the fewest.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random
from types import ModuleType

from meridian.checks import checked_int
from meridian.testing.interleave.carriers import Carriers
from meridian.testing.interleave.primitives import Bundle, Others
from meridian.testing.interleave.records import Failure, NotDeterministic, Report, Scenario, Trace
from meridian.testing.interleave.run import Run
from meridian.testing.interleave.schedule import Decision

__all__ = ["explore", "replay"]

_CHANCE = 0.25  # of the schedules, when the space within the bound is too large for all
_PREEMPT_CHANCES = (0.05, 0.2, 0.5)  # chance of a preemption at a choice, one per random schedule
_COLLECT_EVERY = 256  # runs; within a run a collection would be a step nobody can repeat


def explore(
    scenario: Scenario,
    *,
    preemptions: int = 2,
    max_schedules: int = 5_000,
    seed: int = 0,
    max_steps: int = 10_000,
    max_failures: int = 1,
    preempt_in: Iterable[ModuleType | str] = (),
    stall_s: float = 30.0,
) -> Report:
    """Run `scenario` under every schedule of its threads, up to a bound, and tell what went wrong.

    The scenario is given a bundle (`Lock`, `Condition`, `Thread`, `monotonic_ns`; see
    `meridian.foundation.sync.Primitives`), builds everything anew from it, starts threads, and may
    join them. What it returns is called when all have ended: a check that raises `AssertionError`
    or returns False when the outcome is wrong; None for no check. Each operation on the bundle's
    things is a point where another thread may go first; code between two of them is not split.
    An expiring timeout is a choice as well: early it costs a preemption, at a standstill nothing.

    Args:
        preemptions: changes of thread within one schedule where none was needed.
        max_schedules: stop there. When the bound holds more, a quarter of them are random
            schedules without a bound.
        seed: of the order and of chance; the same seed finds the same.
        max_steps: of one schedule; more is a ``livelock``.
        max_failures: stop after so many different ones.
        preempt_in: modules, or paths of source files, whose every bytecode is a point too, as on
            an interpreter without the GIL. The space becomes large.
        stall_s: real seconds after which a thread that takes no step is stopped: ``livelock``.

    Raises:
        NotDeterministic: the scenario does other things under the same schedule.
        ScenarioStuck: a thread waits outside of the bundle, or swallows every exception.
        ValueError, TypeError: an argument out of range.
    """
    preemptions = checked_int("preemptions", preemptions)
    max_schedules = checked_int("max_schedules", max_schedules, least=1)
    max_steps = checked_int("max_steps", max_steps, least=1)
    max_failures = checked_int("max_failures", max_failures, least=1)
    files = tuple(str(m.__file__) if isinstance(m, ModuleType) else m for m in preempt_in)
    search = _Search(scenario, preemptions, max_schedules, seed, max_steps, files, stall_s)
    systematic = max(1, int(max_schedules * (1 - _CHANCE)))
    with search.carriers, _no_collection():
        for _ in search.within():
            if len(search.failures) >= max_failures or search.schedules >= systematic:
                break
        complete = not search.left
        while not complete and search.schedules < max_schedules:
            if len(search.failures) >= max_failures:
                break
            search.by_chance()
    return Report(search.schedules, tuple(search.failures.values()), complete, search.steps)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Finalizers that take a lock would be steps at a moment that no schedule repeats."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def replay(
    trace: Trace, scenario: Scenario | None = None, *, stall_s: float = 30.0
) -> Failure | None:
    """Run the interleaving of `trace` again, and return the failure it ends in, if it does.

    Args:
        trace: of a `Failure`; only its schedule is used.
        scenario: another one to run under it, or the same when the trace comes from a pickle.

    Raises:
        NotDeterministic: the scenario cannot follow the schedule: it is another, or was changed.
        ValueError: the trace comes from a pickle and no scenario is given.
    """
    scenario = scenario or trace.scenario
    if scenario is None:
        raise ValueError("Give replay(trace, scenario) the scenario: a pickled trace has none")
    with Carriers() as carriers, _no_collection():
        return _recorded(
            carriers,
            scenario,
            trace.schedule,
            trace.max_steps,
            trace.preempt_in,
            stall_s,
        )


def _perform(run: Run, scenario: Scenario) -> None:
    def body() -> None:
        check = scenario(bundle)
        run.point("join", others, others)
        if check is not None and check() is False:
            raise AssertionError("the check returned False")

    bundle, others = Bundle(run), Others(run)
    run.go(run.add("main", body, daemon=False))


def _recorded(
    carriers: Carriers,
    scenario: Scenario,
    schedule: tuple[int, ...],
    max_steps: int,
    files: tuple[str, ...],
    stall_s: float,
) -> Failure | None:
    run = Run(
        carriers, schedule, max_steps=max_steps, record=True, preempt_in=files, stall_s=stall_s
    )
    _perform(run, scenario)
    if run.failure is None:
        return None
    kind, message, error = run.failure
    names = tuple(task.name for task in run.tasks)
    trace = Trace(tuple(run.trace), names, tuple(run.schedule.choices), scenario, max_steps, files)
    return Failure(kind, message, trace, error)


class _Search:
    """The schedules run, and those known to be left, by the preemptions they take."""

    def __init__(
        self,
        scenario: Scenario,
        preemptions: int,
        max_schedules: int,
        seed: int,
        max_steps: int,
        files: tuple[str, ...],
        stall_s: float,
    ) -> None:
        self.carriers = Carriers()
        self.failures: dict[tuple[str, str], Failure] = {}
        self.schedules = 0
        self.steps = 0
        self._scenario = scenario
        self._preemptions = preemptions
        self._rng = Random(seed)
        self._max_steps = max_steps
        self._files = files
        self._stall_s = stall_s
        #: per level: (choices of a run, its decision to change, what to choose there)
        self._work: list[list[tuple[list[int], int, int]]] = [[] for _ in range(preemptions + 1)]
        self._most_work = 20 * max_schedules
        self._sampled = False

    @property
    def left(self) -> bool:
        """Whether schedules within the bound are known that were not run."""
        return self._sampled or any(self._work)

    def within(self) -> Iterator[None]:
        """Run the schedules one by one, fewest preemptions first, each level in a drawn order."""
        self._systematic([], 0)
        yield
        for level, work in enumerate(self._work):
            while work:
                drawn = self._rng.randrange(len(work))
                work[drawn], work[-1] = work[-1], work[drawn]
                choices, number, other = work.pop()
                self._systematic([*choices[:number], other], level)
                yield

    def _systematic(self, script: list[int], level: int) -> None:
        run = self._run(script)
        for number, decision in enumerate(run.schedule.decisions, len(script)):
            for other, cost in _alternatives(decision):
                if level + cost <= self._preemptions:
                    self._add(level + cost, (run.schedule.choices, number, other))

    def _add(self, level: int, item: tuple[list[int], int, int]) -> None:
        work = self._work[level]
        if len(work) < self._most_work:
            work.append(item)
        else:  # more than will ever be run: keep a sample
            self._sampled = True
            work[self._rng.randrange(len(work))] = item

    def by_chance(self) -> None:
        """One schedule by chance, from start to end."""
        self._run([], Random(self._rng.random()), self._rng.choice(_PREEMPT_CHANCES))

    def _run(
        self, script: list[int], rng: Random | None = None, preempt_chance: float = 0.0
    ) -> Run:
        run = Run(
            self.carriers,
            script,
            max_steps=self._max_steps,
            rng=rng,
            preempt_chance=preempt_chance,
            preempt_in=self._files,
            stall_s=self._stall_s,
        )
        _perform(run, self._scenario)
        self.schedules += 1
        self.steps += run.steps
        if run.failure is not None:
            self._keep(run)
        if self.schedules % _COLLECT_EVERY == 0:
            gc.collect()
        return run

    def _keep(self, run: Run) -> None:
        """Run a failure of a new sort again, with its steps recorded."""
        assert run.failure is not None
        kind, message, _ = run.failure
        if (kind, message) in self.failures:
            return
        schedule = tuple(run.schedule.choices)
        again = _recorded(
            self.carriers, self._scenario, schedule, self._max_steps, self._files, self._stall_s
        )
        if run.stalled and (again is None or again.kind != kind):
            names = tuple(task.name for task in run.tasks)
            again = Failure(kind, message, Trace((), names, schedule, self._scenario))
        if again is None or again.kind != kind:
            got = "no failure" if again is None else again.kind
            raise NotDeterministic(len(schedule), kind, (got,))
        self.failures[kind, message] = again


def _alternatives(decision: Decision) -> Iterator[tuple[int, int]]:
    """What else could have been chosen, and the preemptions it costs."""
    options, free = decision
    for position, option in enumerate(options[1:], 1):
        yield option, int(position >= free)
