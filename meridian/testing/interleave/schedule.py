"""Who goes on: at each scheduling point the script decides, after its end the default or chance."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NoReturn

from meridian.testing.interleave.records import NotDeterministic
from meridian.testing.interleave.tasks import Task

__all__ = ["FAIR_AFTER", "Decision", "Schedule"]

FAIR_AFTER = 100  # steps in a row, then others go first: a spin loop is no livelock by itself

Decision = tuple[tuple[int, ...], int]
"""The options at a choice, the default first, and how many of them cost no preemption."""


class Schedule:
    """Follow a script of choices, then take the defaults or draw; record every choice there was.

    The default is that the running thread goes on. A choice is the index of a thread, or
    ``~index`` when the timeout of that thread expires.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        script: Sequence[int] = (),
        rng: Random | None = None,
        preempt_chance: float = 0.0,
        fair_after: int = FAIR_AFTER,
    ) -> None:
        """Of `tasks`, to which those that are made later are added."""
        self.choices: list[int] = []
        self.decisions: list[Decision] = []  # those after the script that were not drawn
        self._tasks = tasks
        self._script = script
        self._rng = rng
        self._preempt_chance = preempt_chance
        self._fair_after = fair_after
        self._in_a_row = 0  # steps of the running thread

    def choose(self, me: Task, enabled: bool, alive: Sequence[Task]) -> int | None:
        """Who goes on of those `alive`, of which `me` asks and can go on if `enabled`.

        None when nobody can. Raises `NotDeterministic` when the script names one that cannot.
        """
        options: list[int] = []
        timed: list[int] = []
        for task in alive:
            if task is me:
                if not enabled and task.deadline_ns is not None:
                    timed.append(~task.index)
            elif task.gate is None or task.gate.open:
                options.append(task.index)
            elif task.deadline_ns is not None:
                timed.append(~task.index)
        if enabled:
            self._in_a_row += 1
            if not options and not timed:
                return me.index
            if options and self._in_a_row > self._fair_after:
                self._in_a_row = 0
                return next((i for i in options if i > me.index), options[0])
            free = 1
            options.insert(0, me.index)
        else:
            free = len(options) or len(timed)
        options += timed
        if not options:
            return None
        choice = options[0] if len(options) == 1 else self._decide(options, free)
        if choice != me.index:
            self._in_a_row = 0
        return choice

    def check_finished(self) -> None:
        """Raises `NotDeterministic` when the run ended before the script did."""
        if len(self.choices) < len(self._script):
            raise NotDeterministic(len(self.choices), "another choice", ("the end",))

    def _decide(self, options: list[int], free: int) -> int:
        number = len(self.choices)
        if number < len(self._script):
            choice = self._script[number]
            if choice not in options:
                self._diverge(choice, options)
        elif self._rng is None:
            choice = options[0]
            self.decisions.append((tuple(options), free))
        elif free == 1 and self._rng.random() >= self._preempt_chance:
            choice = options[0]
        else:
            choice = self._rng.choice(options)
        self.choices.append(choice)
        return choice

    def _diverge(self, choice: int, options: list[int]) -> NoReturn:
        names = {task.index: task.name for task in self._tasks}
        wanted, *possible = (names.get(max(n, ~n), "another thread") for n in (choice, *options))
        raise NotDeterministic(len(self.choices), wanted, tuple(possible))
