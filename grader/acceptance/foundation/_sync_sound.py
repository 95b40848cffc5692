"""Criteria 7 and 8: locks that are held rightly, failures that are told, and the demo."""

from __future__ import annotations

import ast
import fnmatch
from itertools import pairwise
from typing import Any

import pytest

from grader.acceptance.foundation._sync import BASE, Probes
from grader.judging.compare import expect, require
from grader.judging.source_flow import Flow
from grader.judging.source_rules import Place, Sources
from grader.judging.source_strangers import compared, stranger_called
from grader.proxy.submission import Submission

NOT_HELD = (
    *("print", "open", "input", "breakpoint", "builtins.*", "sys.stdout.*", "sys.stderr.*"),
    *("logging.*", "warnings.*", "sleep", "*.sleep"),
)
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
PRIMITIVES = {"Lock", "Condition", "Thread", "monotonic_ns"}  # handed in, and to be called
EVERY_S, AT_MOST_S = 0.020, 0.040
TRIES = 3  # a machine that does other work may be late once


@pytest.mark.criterion("7", points=3, after=BASE)
def test_locks_are_held_by_with_alone(submission: Submission) -> None:
    """No acquire and no release; while a lock is held nothing is printed, logged or slept, nothing
    is called that was handed in, and no command is compared.

    Read from the source, with what the block calls.
    """
    sources = Sources(submission.sources())
    for place in sources.locks_by_hand():
        require(
            False,
            f"{place}: {place.text}: hold locks by `with` alone, so that no way out of a block "
            "leaves one held",
        )
    flow = Flow(sources)
    held = list(flow.while_held())
    found = [(place, f"{place.name}()") for place in held if _tells(place)]
    found += [
        (place, f"{place.text}, handed in from outside,")
        for place in stranger_called(flow, held, known=PRIMITIVES)
    ]
    found += [
        (place, f"comparison of commands, {place.text},")
        for place in compared(flow, held, "Command")
    ]
    for place, what in found:
        require(False, f"{place}: {what} while a lock is held: do it after the block")


def _tells(place: Place) -> bool:
    """A call that prints, logs or sleeps."""
    call = place.node
    if not isinstance(call, ast.Call):
        return False
    if any(fnmatch.fnmatchcase(place.name, name) for name in NOT_HELD):
        return True
    return isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS


@pytest.mark.criterion("7", points=1, after=BASE)
def test_commands_are_not_compared(submission: Submission) -> None:
    """No comparison of commands, by a heap or a list either, runs while a lock is held.

    Run in the worker: commands that note who compares them.
    """
    names = Probes(submission).compared_while_held()
    require(
        names == [],
        f"While a lock was held, commands were compared by {', '.join(map(str, names))}: a command "
        "is its user's, who may write any comparison; keep a key and a number beside it",
    )


@pytest.mark.criterion("7", points=4, after=BASE)
def test_a_failure_inside_is_told_to_all(submission: Submission) -> None:
    """What fails while the lock is held breaks the queue for all who wait and all who come.

    Run in the worker: an order that cannot be found, a wake-up that fails.
    """
    probe = Probes(submission)
    failed = {
        "a comparison of issued_at raised OSError, 3 pushes waited": probe.failed_order(),
        "a wake-up raised OSError, 2 consumers waited": probe.failed_waking(),
    }
    struck = {what: outcomes for what, outcomes in failed.items() if outcomes}
    require(bool(struck), "Nothing could be made to fail: take every lock of `primitives`")
    for what, outcomes in struck.items():
        expect(
            outcomes,
            ["QueueBroken"] * len(outcomes),
            call=f"The pushes and pops of a queue when {what}; the last two came later",
        )


@pytest.mark.criterion("8", points=5, after=BASE)
def test_the_demo(submission: Submission) -> None:
    """The demo dispatches 15 commands, 3 of them SAFE_MODE, and samples about every 20 ms."""
    probe = Probes(submission)
    for attempt in range(TRIES):
        apart_s = _demo_checked(probe.demo())
        require(
            apart_s >= 0.9 * EVERY_S and (apart_s <= AT_MOST_S or attempt < TRIES - 1),
            f"The samples are {apart_s * 1e3:.1f} ms apart; one every 20 ms is asked, 40 at most",
        )
        if apart_s <= AT_MOST_S:
            return


def _demo_checked(report: dict[str, Any]) -> float:
    """What holds however busy the machine is; the seconds between two samples."""
    expect(report["final"], (15, 15, 3), "pushed, dispatched and SAFE_MODE at the end")
    kinds = [kind for _, kind, _ in report["dispatched"]]
    expect(sorted(kinds), sorted(["SAFE_MODE", "ABORT_PASS", "REPOINT"] * 3 + _LESSER * 3), "kinds")
    places = [arrived for _, _, arrived in report["dispatched"]]
    expect(sorted(places), list(range(1, 16)), "places in the order of arrival")
    samples = report["samples"]
    require(len(samples) >= 3, f"The dashboard took {len(samples)} samples, at least 3 are asked")
    for one, other in pairwise(samples):
        require(
            all(now >= was for was, now in zip(one[1:], other[1:], strict=True)),
            f"A counter went down: {one[1:]}, then {other[1:]}",
        )
    return float(samples[-1][0] - samples[0][0]) / (len(samples) - 1)


_LESSER = ["STATUS_REQUEST", "HOUSEKEEPING"]


@pytest.mark.criterion("8", points=3, after=BASE)
def test_the_table_of_the_demo(submission: Submission) -> None:
    """The printed table shows the order of dispatch beside that of arrival."""
    report = Probes(submission).demo()
    rows = [line.split() for line in report["printed"].splitlines()]
    table = [row for row in rows if len(row) == 4 and row[0].isdigit()]
    want = [
        [str(number), str(arrived), str(priority), kind]
        for number, (priority, kind, arrived) in enumerate(report["dispatched"], 1)
    ]
    expect(table, want, "Rows of the printed table: dispatched, arrived, priority, command")
    priorities = [priority for priority, _, _ in report["dispatched"]]
    expect(priorities, sorted(priorities, reverse=True), "priorities in the order of dispatch")


__all__ = [
    "test_locks_are_held_by_with_alone",
    "test_commands_are_not_compared",
    "test_a_failure_inside_is_told_to_all",
    "test_the_demo",
    "test_the_table_of_the_demo",
]
