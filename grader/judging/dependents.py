"""Which test means nothing once another has failed: ``after=`` in the mark of a test.

One failure is then told once, by the test that found it, and the tests behind it say so instead
of repeating it in other words. Names are those of tests or ids of criteria.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest

from grader.judging.verdict import Verdict
from meridian.academy.outcomes import NOT_WRITTEN

__all__ = ["Dependents"]


class Dependents:
    """The order of a suite's tests, and the failure that stops one of them."""

    def __init__(self, titles: Mapping[str, str]) -> None:
        self._titles = titles
        self._needs: dict[str, list[tuple[str, list[str]]]] = {}

    def read(self, marks: Mapping[str, pytest.Mark], names: Mapping[str, str]) -> list[str]:
        """Take in the marks of all tests, by node id; `names` are the tests' own names.

        Returns what is wrong: an unknown name, a test that waits for itself.
        """
        problems = []
        for node, mark in marks.items():
            wanted = mark.kwargs.get("after", ())
            found = self._needs[node] = []
            for name in (wanted,) if isinstance(wanted, str) else tuple(wanted):
                nodes = [other for other in marks if names[other] == name]
                nodes += [o for o in marks if marks[o].args[0] == name and o != node]
                if nodes:
                    found.append((name, nodes))
                else:
                    problems.append(f"{names[node]}: after={name!r} is no test and no criterion")
        return problems or self._circles(names)

    def _circles(self, names: Mapping[str, str]) -> list[str]:
        stuck = set(self._needs) - set(self.ordered(tuple(self._needs)))
        told = sorted(names[node] for node in stuck)
        return [f"tests that wait for each other: {', '.join(told)}"] if stuck else []

    def ordered(self, nodes: Sequence[str]) -> list[str]:
        """`nodes`, each behind those that it needs, else in the order they came."""
        done: list[str] = []
        waiting = list(nodes)
        while waiting:
            ready = next((n for n in waiting if not waiting_for(self._of(n), waiting)), None)
            if ready is None:
                break
            waiting.remove(ready)
            done.append(ready)
        return done

    def _of(self, node: str) -> list[str]:
        return [other for _, nodes in self._needs[node] for other in nodes]

    def cause(self, node: str, verdicts: Mapping[str, Verdict]) -> str:
        """What failed before and makes `node` meaningless, as half a sentence, or ``""``.

        A test that was not run for such a cause passes the cause on: the root is told.
        """
        for name, nodes in self._needs.get(node, ()):
            for other in nodes:
                verdict = verdicts.get(other)
                if verdict is None or verdict.outcome == "passed":
                    continue
                if verdict.because:
                    return verdict.because
                if verdict.outcome == "not_run":
                    continue  # skipped, or not judged in this mode: nothing is known to be wrong
                missing = NOT_WRITTEN in verdict.message
                return (
                    f"{self._title(name, verdict)} {'is not written yet' if missing else 'failed'}"
                )
        return ""

    def _title(self, name: str, verdict: Verdict) -> str:
        if name in self._titles:
            return f"criterion {name} ({self._titles[name]})"
        told = verdict.category.rstrip(".")
        return f'"{told}"' if told else f"a test of criterion {verdict.criterion}"


def waiting_for(needed: Iterable[str], waiting: Iterable[str]) -> bool:
    return not set(needed).isdisjoint(waiting)
