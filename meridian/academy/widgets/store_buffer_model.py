"""A machine whose stores wait in a buffer before memory has them, small enough to try every order.

It is the abstract machine of x86-TSO (Owens, Sarkar and Sewell, "A Better x86 Memory Model", 2009):
each core runs its accesses in order, a store goes to the end of the core's own buffer, a buffer
gives its oldest store to memory at any moment, a load takes the newest store to its cell from the
core's own buffer, else memory. A drawn model, to read beside runs on the real machine.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeVar

__all__ = ["CORES", "PROGRAMS", "Access", "Machine", "Move", "outcomes", "start"]

CORES = "ABCD"
T = TypeVar("T")


class Access(NamedTuple):
    """A store of 1 to `cell`, or a load of it."""

    kind: Literal["store", "load"]
    cell: str


class Move(NamedTuple):
    """What may happen next: a core runs its next access, or its oldest store reaches memory."""

    core: int
    kind: Literal["run", "drain"]


def _read(text: str) -> tuple[Access, ...]:
    """``"x=1 y"`` is a store to x and then a load of y."""
    return tuple(
        Access("store" if word.endswith("=1") else "load", word[0]) for word in text.split()
    )


# The litmus tests of `meridian.foundation.sync.litmus`, their loads in the same order.
PROGRAMS: dict[str, tuple[tuple[Access, ...], ...]] = {
    "SB": (_read("x=1 y"), _read("y=1 x")),
    "MP": (_read("x=1 y=1"), _read("y x")),
    "LB": (_read("x y=1"), _read("y x=1")),
    "IRIW": (_read("x=1"), _read("y=1"), _read("x y"), _read("y x")),
}


class Machine(NamedTuple):
    """One state. A `fenced` machine lets a core go on only when its buffer is empty: SEQ_CST."""

    programs: tuple[tuple[Access, ...], ...]
    fenced: bool
    done: tuple[int, ...]  # accesses that each core has run
    buffers: tuple[tuple[str, ...], ...]  # cells of the stores that wait, oldest first
    memory: frozenset[str]  # the cells that are 1
    loads: tuple[tuple[int, ...], ...]  # what each core has loaded

    def may_run(self, core: int) -> bool:
        waits = self.fenced and bool(self.buffers[core])
        return self.done[core] < len(self.programs[core]) and not waits

    def moves(self) -> list[Move]:
        """All that may happen next; nothing, once all has run and every buffer is empty."""
        cores = range(len(self.programs))
        runs = [Move(core, "run") for core in cores if self.may_run(core)]
        return runs + [Move(core, "drain") for core in cores if self.buffers[core]]

    def after(self, move: Move) -> Machine:
        """The state that `move` leads to. Raises `ValueError` where it cannot happen."""
        if move not in self.moves():
            raise ValueError(f"Expected one of {self.moves()}, got {move}")
        core = move.core
        if move.kind == "drain":
            oldest, *rest = self.buffers[core]
            return self._replace(
                buffers=_put(self.buffers, core, tuple(rest)), memory=self.memory | {oldest}
            )
        access = self.programs[core][self.done[core]]
        ran = self._replace(done=_put(self.done, core, self.done[core] + 1))
        if access.kind == "store":
            waiting = (*self.buffers[core], access.cell)
            return ran._replace(buffers=_put(self.buffers, core, waiting))
        value = int(access.cell in self.buffers[core] or access.cell in self.memory)
        return ran._replace(loads=_put(self.loads, core, (*self.loads[core], value)))

    @property
    def outcome(self) -> tuple[int, ...] | None:
        """All values loaded, core by core; None while a core has something left to run."""
        if any(done < len(program) for done, program in zip(self.done, self.programs, strict=True)):
            return None
        return tuple(value for core in self.loads for value in core)


def _put(values: tuple[T, ...], at: int, value: T) -> tuple[T, ...]:
    return (*values[:at], value, *values[at + 1 :])


def start(test: str, *, fenced: bool = False) -> Machine:
    """The machine before the first step of litmus test `test`. Raises `ValueError` for no test."""
    if test not in PROGRAMS:
        raise ValueError(f"Expected one of {', '.join(PROGRAMS)}, got {test!r}")
    programs = PROGRAMS[test]
    none: tuple[()] = ()
    cores = len(programs)
    return Machine(programs, fenced, (0,) * cores, (none,) * cores, frozenset(), (none,) * cores)


def outcomes(test: str, *, fenced: bool = False) -> set[tuple[int, ...]]:
    """Every outcome that some order of moves leads to, found by trying all of them."""
    found: set[tuple[int, ...]] = set()
    seen = {start(test, fenced=fenced)}
    left = list(seen)
    while left:
        machine = left.pop()
        if machine.outcome is not None:
            found.add(machine.outcome)
        for move in machine.moves():
            reached = machine.after(move)
            if reached not in seen:
                seen.add(reached)
                left.append(reached)
    return found
