"""Criteria 7 and 8: locks that are held rightly, failures that are told, and the demo."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

import pytest

from grader.acceptance.foundation._sync import BASE, probe_of
from grader.judging.compare import expect, require
from grader.proxy.submission import Submission

NOT_HELD = {"print", "open", "input", "breakpoint"}
LOGS = {"logging", "logger", "log", "_log", "warnings"}
EVERY_S = 0.020


@pytest.mark.criterion("7", points=3, after=BASE)
def test_locks_are_held_by_with_alone(submission: Submission) -> None:
    """No acquire and no release; nothing printed, logged or slept while a lock is held.

    Read from the source.
    """
    for file, source in submission.sources().items():
        tree = ast.parse(source)
        for call in _calls(tree):
            if isinstance(call.func, ast.Attribute) and call.func.attr in ("acquire", "release"):
                require(
                    False,
                    f"{file}:{call.lineno}: {ast.unparse(call)}: hold locks by `with` alone, so "
                    "that no way out of a block leaves one held",
                )
        for block in ast.walk(tree):
            if not (isinstance(block, ast.With) and any(map(_is_lock, block.items))):
                continue
            for statement in block.body:
                for call in _calls(statement):
                    wrong = _foreign(call.func)
                    what = f"{ast.unparse(call.func)}() while a lock is held"
                    require(not wrong, f"{file}:{call.lineno}: {what}: do it after the block")


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _is_lock(item: ast.withitem) -> bool:
    """``with self._lock:`` and the like; what is called gives something else."""
    name = ast.unparse(item.context_expr)
    return isinstance(item.context_expr, ast.Name | ast.Attribute) and name != "changed"


def _foreign(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id in NOT_HELD
    if isinstance(function, ast.Attribute):
        owner = function.value
        name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
        return function.attr == "sleep" or name in LOGS
    return False


@pytest.mark.criterion("7", points=5, after=BASE)
def test_a_failure_inside_is_told_to_all(submission: Submission) -> None:
    """What fails while the lock is held breaks the queue for all who wait and all who come.

    Run in the worker: an order that cannot be found, a wake-up that fails.
    """
    probe, package = probe_of(submission, "_sync_probe_work"), submission.module()
    failed = {
        "a comparison of issued_at raised OSError, 3 pushes waited": probe.failed_order(package),
        "a wake-up raised OSError, 2 consumers waited": probe.failed_waking(package),
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
    report = probe_of(submission, "_sync_probe_work").demo(submission.module())
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
    apart_s = (samples[-1][0] - samples[0][0]) / (len(samples) - 1)
    require(
        apart_s >= 0.9 * EVERY_S,
        f"The samples are {apart_s * 1e3:.1f} ms apart, every 20 ms are asked",
    )


_LESSER = ["STATUS_REQUEST", "HOUSEKEEPING"]


@pytest.mark.criterion("8", points=3, after=BASE)
def test_the_table_of_the_demo(submission: Submission) -> None:
    """The printed table shows the order of dispatch beside that of arrival."""
    report = probe_of(submission, "_sync_probe_work").demo(submission.module())
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
    "test_a_failure_inside_is_told_to_all",
    "test_the_demo",
    "test_the_table_of_the_demo",
]
