"""Whether concurrent operations look as if each took effect at one instant of its own.

Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects", TOPLAS 12(3),
1990. The search is that of Wing and Gong, "Testing and Verifying Concurrent Objects", JPDC 17,
1993, which remembers the configurations it has seen, as Lowe does in "Testing for
Linearizability", Concurrency and Computation 29(4), 2017. Histories of many independent objects
are checked object by object: Herlihy and Wing's locality, used for this by Horn and Kroening,
"Faster Linearizability Checking via P-compositionality", FORTE 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

from grader.judging.compare import CriterionFailed, same
from grader.judging.differences import show
from grader.judging.histories import History, Operation
from grader.judging.models import ANY, Model, Raises

__all__ = ["linearizable", "shortened"]

_MOST_STATES = 200_000
_MOST_STATES_TO_SHRINK = 100_000
_UNKNOWN_PER_STATE = 64


class _TooMany(Exception):
    """The search has seen as many states as it may."""


def linearizable(
    history: History,
    model: Model,
    *,
    by: Callable[[Operation], Hashable] | None = None,
    most_states: int = _MOST_STATES,
    call: str = "",
) -> None:
    """Nothing when some order of the operations, each between its start and end, fits `model`.

    Raises `CriterionFailed` with the fewest operations that no order explains. With `by` there is
    one object for each key it gives, checked by itself. An operation that never returned may have
    taken effect at any time after it began, or not. Raises `SuiteError` when the search would have
    to look at more than `most_states` states: make fewer calls at once, or use `by`.
    """
    parts: dict[Hashable, list[Operation]] = {}
    for operation in history:
        parts.setdefault(by(operation) if by else None, []).append(operation)
    for part in parts.values():
        try:
            if _Search(part, model, most_states).explains():
                continue
        except _TooMany:
            from grader.judging.judge import SuiteError  # it needs the proxy, which needs us

            raise SuiteError(
                Path("linearizable"),
                f"{len(part)} operations take more than {most_states:,} states to check: let "
                "fewer clients call at once, make fewer calls, or split them with by=",
            ) from None
        raise _failure(history, shortened(part, model, most_states), len(history), model, call)


class _Search:
    """Looks for an order of `operations`; those without an end may be left out of it."""

    def __init__(self, operations: list[Operation], model: Model, most_states: int) -> None:
        operations = sorted(operations, key=lambda operation: operation.start)
        self._must = [op for op in operations if op.end is not None]
        self._may = [op for op in operations if op.end is None]
        self._alike = _alike(self._may)
        self._model = model
        self._left = most_states
        self._deepest = -1
        self.states = 0
        self.refused: dict[Operation | int, list[Any]] = {}
        """At the deepest places: by place of the operation, what it should have answered."""

    def explains(self) -> bool:
        """Depth first. A configuration is what has taken effect, and the state it left."""
        everything = (1 << len(self._must)) - 1
        stack: list[tuple[int, int, Any]] = [(0, 0, self._model.start)]
        seen: dict[tuple[int, Any], list[int]] = {}
        while stack:
            must, may, state = stack.pop()
            if must == everything:
                return True
            # With the same effects and fewer of those that may be left out, more is possible.
            before = seen.setdefault((must, state), [])
            if any(known & ~may == 0 for known in before):
                continue
            before.append(may)
            self._left -= 1
            self.states += 1
            if self._left < 0:
                raise _TooMany
            stack.extend(reversed([*self._next(must, may, state)]))
        return False

    def _next(self, must: int, may: int, state: Any) -> Iterator[tuple[int, int, Any]]:
        ready, first_end = self._ready(must)
        depth = must.bit_count()
        if depth > self._deepest:
            self._deepest, self.refused = depth, {}
        for place in ready:
            operation = self._must[place]
            answers = []
            for after, answer in self._model.step(state, operation.name, operation.arguments):
                if _fits(operation, answer):
                    yield must | 1 << place, may, after
                answers.append(answer)
            if depth == self._deepest:
                self.refused.setdefault(place, []).extend(answers)
        tried: set[int] = set()
        for place, operation in enumerate(self._may):
            if may >> place & 1 or operation.start > first_end or self._alike[place] in tried:
                continue
            tried.add(self._alike[place])  # the one that began first can do what others like it can
            for after, _ in self._model.step(state, operation.name, operation.arguments):
                if after != state:
                    yield must, may | 1 << place, after

    def _ready(self, must: int) -> tuple[list[int], int]:
        """Operations that may be next: none that has not taken effect ended before they began."""
        first_end = -1
        found = []
        first = (~must & (must + 1)).bit_length() - 1
        for place in range(first, len(self._must)):
            operation = self._must[place]
            if 0 <= first_end < operation.start:
                break
            if not must >> place & 1:
                assert operation.end is not None
                found.append(place)
                first_end = operation.end if first_end < 0 else min(first_end, operation.end)
        return [place for place in found if self._must[place].start < first_end], first_end

    def wanted(self) -> tuple[Operation, Any] | None:
        """After `explains` said no: the answer that would have helped, where there is one."""
        if len(self.refused) != 1:
            return None
        ((place, answers),) = self.refused.items()
        if not answers or not all(same(answer, answers[0]) for answer in answers):
            return None
        assert isinstance(place, int)
        return self._must[place], answers[0]


def _alike(operations: list[Operation]) -> list[int]:
    """A number for each operation: the same for equal calls."""
    kinds: list[tuple[str, tuple[Any, ...]]] = []
    found = []
    for operation in operations:
        call = (operation.name, operation.arguments)
        known = next((n for n, kind in enumerate(kinds) if same(call, kind)), len(kinds))
        if known == len(kinds):
            kinds.append(call)
        found.append(known)
    return found


def _fits(operation: Operation, answer: Any) -> bool:
    if type(answer) is Raises:
        return operation.error is not None and operation.error.is_a(answer.name)
    if operation.error is not None:
        return False
    return answer is ANY or same(operation.answer, answer)


def shortened(
    operations: list[Operation], model: Model, most_states: int = _MOST_STATES
) -> list[Operation]:
    """The fewest whose answers cannot be explained, whatever the others did.

    First the shortest beginning of the history that fails: what came later cannot have caused it.
    Then operations, many at once and in the end each, become ones that may have happened or not,
    at any time after they began; what still fails fails for the rest. Leaving one out altogether
    would not do: a read of a value is no mistake because we dropped its write.
    """

    left = _MOST_STATES_TO_SHRINK

    def fails(part: list[Operation]) -> bool:
        nonlocal left
        unknown = sum(op.end is None for op in part)
        cost = 1 + unknown // _UNKNOWN_PER_STATE  # each of them is looked at in every state
        search = _Search(part, model, min(most_states, left // cost))
        try:
            return not search.explains()
        except _TooMany:
            return False
        finally:
            left -= search.states * cost

    def until(end: int) -> list[Operation]:
        begun = [op for op in operations if op.start <= end]
        return [op if op.end is not None and op.end <= end else _unknown(op) for op in begun]

    ends = sorted(op.end for op in operations if op.end is not None)
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if fails(until(ends[middle])):
            high = middle
        else:
            low = middle + 1
    kept = until(ends[high])
    size = len(kept)
    while size and left > 0:
        for place in range(0, len(kept), size):
            chunk = kept[place : place + size]
            if left > 0 and any(op.end is not None for op in chunk):
                weaker = [*kept[:place], *map(_unknown, chunk), *kept[place + size :]]
                if fails(weaker):
                    kept = weaker
        size //= 2
    return kept


def _unknown(operation: Operation) -> Operation:
    return operation._replace(end=None, answer=None, error=None)


def _failure(
    history: History, smallest: list[Operation], count: int, model: Model, call: str
) -> CriterionFailed:
    search = _Search(smallest, model, _MOST_STATES)
    search.explains()
    wanted = search.wanted()
    window = History([op for op in smallest if op.end is not None])
    others = count - len(window)
    rest = f", whatever the {others} others did" if others > 1 else ", whatever the other did"
    rest = rest if others else ""
    what = f"{call}: no" if call else "No"
    if len(window) == 1:
        said = f"{what} order of the operations explains this answer{rest}: {window}"
    else:
        said = f"{what} order of these {len(window)} operations explains their answers{rest}: "
        said += str(window)
    if wanted is not None and not isinstance(wanted[1], Raises | type(ANY)):
        operation, answer = wanted
        said += f". There {operation.name}() must give {show(answer)}"
    return CriterionFailed(said, history.how)
