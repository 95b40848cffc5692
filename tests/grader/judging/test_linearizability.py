"""Linearizability, against a brute force over every order of the operations."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.errors import RemoteError
from grader.inside.protocol import Raised
from grader.judging.compare import CriterionFailed, same
from grader.judging.histories import History, Operation
from grader.judging.judge import SuiteError
from grader.judging.linearizability import linearizable, shortened
from grader.judging.models import ANY, Model, counter, fifo, mapping, mutex, register

CALLS: dict[str, list[tuple[str, tuple[Any, ...], Any]]] = {
    "register": [
        *(("write", (n,), None) for n in (1, 2)),
        *(("read", (), n) for n in (None, 1, 2)),
    ],
    "counter": [("add", (1,), None), *(("read", (), n) for n in (0, 1, 2))],
    "fifo": [*(("put", (n,), None) for n in (1, 2)), *(("get", (), n) for n in (1, 2))],
    "mutex": [("acquire", (), None), ("release", (), None)],
    "mapping": [
        *(("put", (key, 1), None) for key in "ab"),
        ("delete", ("a",), None),
        *(("get", (key,), n) for key in "ab" for n in (None, 1)),
    ],
}
MODELS = {
    "register": register(),
    "counter": counter(),
    "fifo": fifo(),
    "mutex": mutex(),
    "mapping": mapping(),
}


def brute(operations: Iterable[Operation], model: Model) -> bool:
    """Whether some order of them, with or without those that never returned, fits."""
    operations = list(operations)
    must = [op for op in operations if op.end is not None]
    may = [op for op in operations if op.end is None]
    return any(
        _runs(order, model.start, model)
        for count in range(len(may) + 1)
        for chosen in itertools.combinations(may, count)
        for order in itertools.permutations([*must, *chosen])
        if all(
            later.end is None or later.end > earlier.start
            for place, earlier in enumerate(order)
            for later in order[place + 1 :]
        )
    )


def _runs(order: tuple[Operation, ...], state: Any, model: Model) -> bool:
    if not order:
        return True
    first, *rest = order
    return any(
        (first.end is None or answer is ANY or same(first.answer, answer))
        and _runs(tuple(rest), after, model)
        for after, answer in model.step(state, first.name, first.arguments)
    )


@st.composite
def histories(draw: st.DrawFn, calls: list[tuple[str, tuple[Any, ...], Any]]) -> History:
    """Up to six operations of up to three clients, of which some never return."""
    chosen = draw(st.lists(st.sampled_from(calls), min_size=1, max_size=6))
    ticks = itertools.count()
    operations: list[Operation] = []
    open_now: dict[int, Operation] = {}
    for name, arguments, answer in chosen:
        free = [n for n in range(3) if n not in open_now]
        if not free or draw(st.booleans()):
            ended = draw(st.permutations(sorted(open_now)))[: draw(st.integers(0, 3))]
            operations += [open_now.pop(client)._replace(end=next(ticks)) for client in ended]
            free = [n for n in range(3) if n not in open_now]
        if free:
            client = draw(st.sampled_from(free))
            open_now[client] = Operation(client, name, arguments, next(ticks), None, answer)
    for client in sorted(open_now):
        never = draw(st.sampled_from([False, False, True]))
        found = open_now[client]
        operations.append(found if never else found._replace(end=next(ticks)))
    return History(operations, "seed 5")


def holds(history: History, model: Model, **more: Any) -> bool:
    try:
        linearizable(history, model, **more)
    except CriterionFailed as failed:
        if failed.counterexample != "seed 5" or "order of the" not in failed.message:
            raise
        return False
    return True


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_the_checker_agrees_with_brute_force(name: str, data: st.DataObject) -> None:
    history = data.draw(histories(CALLS[name]))
    model = MODELS[name]
    explained = brute(history, model)
    assert holds(history, model) == explained
    if name == "mapping":
        assert holds(history, model, by=lambda op: op.arguments[0]) == explained
    if not explained:
        kept = shortened(list(history), model)
        assert not brute(kept, model), "what is told cannot be explained, whatever the rest did"
        for place, op in enumerate(kept):
            weaker = [*kept[:place], op._replace(end=None), *kept[place + 1 :]]
            assert op.end is None or brute(weaker, model), "nothing told is superfluous"


def op(
    client: int, name: str, argument: Any, start: int, end: int | None, answer: Any
) -> Operation:
    arguments = () if argument is None else (argument,)
    return Operation(client, name, arguments, start, end, answer)


def test_a_failure_tells_only_what_matters() -> None:
    noise = [op(3, "add", 5, 10 * n, 10 * n + 1, None) for n in range(3, 20)]
    history = History(
        [
            op(0, "add", 1, 0, 2, None),
            op(1, "add", 1, 1, 3, None),
            op(0, "read", None, 4, 6, 1),
            op(1, "read", None, 5, 7, 2),
            *noise,
        ],
        "asyncio, schedule seed 7",
    )
    with pytest.raises(CriterionFailed) as caught:
        linearizable(history, counter(), call="Counter")
    assert caught.value.counterexample == "asyncio, schedule seed 7"
    assert caught.value.message == (
        "Counter: no order of these 3 operations explains their answers, whatever the 18 others "
        "did: steps 1-3, client 0: add(1) gave None | steps 2-4, client 1: add(1) gave None | "
        "steps 5-6, client 0: read() gave 1. There read() must give 2"
    )


def test_exceptions_are_answers() -> None:
    raised = Raised("Empty", ("Empty", "Exception", "BaseException"), "", {}, "")
    empty = op(0, "get", None, 0, 1, None)._replace(error=RemoteError(raised))
    history = History([empty, op(1, "put", 4, 2, 3, None)])
    linearizable(history, fifo(empty="Empty"))
    with pytest.raises(CriterionFailed, match=r"get\(\) raised Empty"):
        linearizable(history, fifo())
    late = History([op(1, "put", 4, 0, 1, None), empty._replace(start=2, end=3)])
    with pytest.raises(CriterionFailed):
        linearizable(late, fifo(empty="Empty"))


def test_a_search_that_would_not_end_is_the_suites_mistake() -> None:
    clients = [op(n, "write", n, n, 100 + n, None) for n in range(24)]
    history = History([*clients, op(30, "read", None, 200, 201, -1)])
    with pytest.raises(SuiteError, match=r"more than 2,000 states to check: let fewer clients"):
        linearizable(history, register(), most_states=2000)


def test_a_long_history_of_few_clients_is_checked_at_once() -> None:
    operations = []
    for total, n in enumerate(range(0, 1600, 4)):
        operations += [op(0, "add", 1, n, n + 2, None), op(1, "read", None, n + 1, n + 3, total)]
    linearizable(History(operations), counter())
    operations[-1] = operations[-1]._replace(answer=3)
    with pytest.raises(CriterionFailed, match=r"read\(\) gave 3"):
        linearizable(History(operations), counter())


def test_a_history_tells_itself() -> None:
    history = History([op(0, "read", None, 3, 9, 1), op(1, "write", 2, 1, None, None)], "how")
    assert str(history) == (
        "steps 1-, client 1: write(2) never returned | steps 2-3, client 0: read() gave 1"
    )
    assert [len(client) for client in history.clients()] == [1, 1]
    assert len(history.without("write")) == 1
    assert history.without("write").how == "how"
    with pytest.raises(ValueError, match="Expected one of read, write as an operation, got add"):
        linearizable(History([op(0, "add", 1, 0, 1, None)]), register())
