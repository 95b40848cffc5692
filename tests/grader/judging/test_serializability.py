"""Serializability, against a brute force over every serial order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.judging.compare import CriterionFailed
from grader.judging.histories import History, Operation
from grader.judging.judge import SuiteError
from grader.judging.serializability import serializable
from grader.judging.transactions import Read, Transaction, Write, transactions_of


def brute(
    transactions: list[Transaction],
    versions: dict[str, list[int]] | None = None,
    *,
    in_real_time: bool = False,
) -> bool:
    return any(
        _runs(order, versions) and (not in_real_time or _keeps_time(order))
        for order in itertools.permutations(transactions)
    )


def _runs(order: tuple[Transaction, ...], versions: dict[str, list[int]] | None) -> bool:
    state: dict[Any, Any] = {}
    written: dict[Any, list[int]] = {}
    for transaction in order:
        for step in transaction.operations:
            if isinstance(step, Write):
                state[step.key] = step.value
                written.setdefault(step.key, []).append(step.value)
            elif state.get(step.key) != step.value:
                return False
    return versions is None or written == versions


def _keeps_time(order: tuple[Transaction, ...]) -> bool:
    return all(
        not (later.end or 0) < (earlier.start or 0)
        for earlier, later in itertools.combinations(order, 2)
    )


@st.composite
def runs(draw: st.DrawFn) -> list[Transaction]:
    """Transactions whose reads see the beginning, or something somebody writes to that key."""
    shapes = draw(
        st.lists(
            st.lists(st.tuples(st.booleans(), st.sampled_from("xy")), min_size=1, max_size=4),
            min_size=1,
            max_size=4,
        )
    )
    numbers = itertools.count(1)
    values: dict[str, list[int | None]] = {"x": [None], "y": [None]}
    drawn: list[list[Any]] = []
    for shape in shapes:
        steps: list[Any] = []
        for is_write, key in shape:
            if is_write:
                values[key].append(next(numbers))
            steps.append(Write(key, values[key][-1]) if is_write else key)
        drawn.append(steps)
    found = []
    for n, steps in enumerate(drawn):
        told = [
            step if isinstance(step, Write) else Read(step, draw(st.sampled_from(values[step])))
            for step in steps
        ]
        start = draw(st.integers(0, 9))
        end = draw(st.integers(start, 12))
        found.append(Transaction(f"T{n}", tuple(told), True, start, end))
    return found


def holds(transactions: list[Transaction], **more: Any) -> bool:
    try:
        serializable(transactions, how="seed 5", **more)
    except CriterionFailed as failed:
        if failed.counterexample != "seed 5":
            raise
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(runs(), st.randoms(use_true_random=False))
def test_the_checker_agrees_with_brute_force(transactions: list[Transaction], random: Any) -> None:
    assert holds(transactions) == brute(transactions)
    timed = holds(transactions, in_real_time=True)
    assert timed == brute(transactions, in_real_time=True)
    versions: dict[str, list[int]] = {}
    order = list(transactions)
    random.shuffle(order)
    for transaction in order:
        for step in transaction.operations:
            if isinstance(step, Write):
                versions.setdefault(str(step.key), []).append(step.value)
    assert holds(transactions, versions=versions) == brute(transactions, versions)


def test_write_skew_is_told_as_a_cycle() -> None:
    with pytest.raises(CriterionFailed) as caught:
        serializable(
            [
                Transaction("T1", (Read("a", "on"), Read("b", "on"), Write("a", "off"))),
                Transaction("T2", (Read("a", "on"), Read("b", "on"), Write("b", "gone"))),
                Transaction("T3", (Read("a", "off"),)),
            ],
            initial={"a": "on", "b": "on"},
        )
    assert caught.value.message == (
        "No serial order explains T1 -> T2 -> T1: T1 is before T2: T1 read b = 'on', which T2 "
        "overwrote; T2 is before T1: T2 read a = 'on', which T1 overwrote"
    )


@pytest.mark.parametrize(
    ("transactions", "why"),
    [
        ([Transaction("T1", (Read("a", 5),))], "T1 read a = 5, but nobody wrote that"),
        ([Transaction("T1", (Read("a", [5]),))], r"T1 read a = \[5\], but nobody wrote that"),
        (
            [Transaction("T1", (Read("a", 5),)), Transaction("T2", (Write("a", 5),), False)],
            "T1 read a = 5, but T2, which wrote it, did not commit",
        ),
        (
            [Transaction("T1", (Read("a", 5),)), Transaction("T2", (Write("a", 5), Write("a", 6)))],
            "T1 read a = 5, but T2 overwrote it with 6 itself",
        ),
        (
            [Transaction("T1", (Write("a", 5), Read("a", None)))],
            "T1 read a = None, but it had written 5 itself",
        ),
        (
            [Transaction("T1", (Read("a", 5), Write("a", 5)))],
            "T1 read a = 5, but it wrote that only later",
        ),
    ],
)
def test_reads_that_nobody_may_make(transactions: list[Transaction], why: str) -> None:
    with pytest.raises(CriterionFailed, match=f"^{why}$"):
        serializable(transactions)


def test_an_unknown_outcome_counts_once_somebody_has_seen_it() -> None:
    unknown = Transaction("T1", (Read("a", None), Write("a", 1)), None)
    other = Transaction("T2", (Read("a", None), Write("a", 2)))
    serializable([unknown, other])
    with pytest.raises(CriterionFailed, match="No serial order"):
        serializable([unknown, other, Transaction("T3", (Read("a", 1),))])


def test_what_a_suite_gets_wrong_is_told() -> None:
    twice = [Transaction("T1", (Write("a", 1),)), Transaction("T2", (Write("a", 1),))]
    with pytest.raises(ValueError, match="unique values, got 1 twice for 'a'"):
        serializable(twice)
    with pytest.raises(ValueError, match="different names"):
        serializable([twice[0], Transaction("T1", ())])
    blind = [Transaction(f"T{n}", (Write("a", n), Write("b", n))) for n in range(1, 12)]
    crossed = [
        Transaction("R1", (Read("a", 1), Read("b", 2))),
        Transaction("R2", (Read("a", 2), Read("b", 1))),
    ]
    with pytest.raises(SuiteError, match="more than 50 orders of writes to check"):
        serializable([*blind[2:], *blind[:2], *crossed], most_states=50)


def test_the_calls_of_a_client_are_a_transaction() -> None:
    def call(
        client: int, name: str, arguments: tuple[Any, ...], start: int, end: int | None
    ) -> Any:
        return Operation(client, name, arguments, start, end, 7 if name == "get" else None)

    history = History(
        [
            call(0, "get", ("a",), 0, 1),
            call(0, "put", ("a", 3), 2, 3),
            call(0, "commit", (), 4, 9),
            call(1, "put", ("a", 4), 5, 6),
            call(2, "commit", (), 7, None),
        ]
    )
    assert transactions_of(history) == [
        Transaction("T0", (Read("a", 7), Write("a", 3)), True, 0, 9),
        Transaction("T1", (Write("a", 4),), False, 5, 6),
        Transaction("T2", (), None, 7, None),
    ]
