"""A submission's buffer pool beside the exact policy: the same steps, the same hits and misses."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies

from grader.acceptance.database._storage import allocate, counters
from grader.judging.compare import Compared, CriterionFailed
from grader.judging.properties import Finder, Smallest, values
from grader.proxy.proxy import Remote
from grader.proxy.submission import Submission
from meridian.testing.storage import Outcome, PolicyModel

__all__ = ["PoolBesidePolicy", "judge_policy"]

EXAMPLES = 40
_EXAMPLES_AFTER_ALL = 400
FRAMES = 8
PAGES = 24
_MOST_PINNED = 6
_PAGE_IDS = strategies.integers(1, 6)


class PoolBesidePolicy:
    """One pool and the definition of its policy; every fetch must hit or miss as defined."""

    @values(frames=strategies.integers(2, 4))
    def __init__(self, submission: Submission, file: Remote, policy: str, frames: int) -> None:
        self.pool = submission.BufferPool(file, frames, policy)
        self._fetch = self.pool.fetch
        self._called = f'BufferPool(file, {frames}, "{policy}")'
        self._most_pinned = min(frames - 1, _MOST_PINNED)
        self._model = PolicyModel(policy, frames)
        self._held: dict[int, Any] = {}
        self._counted = counters(self.pool)

    @values(page_id=_PAGE_IDS)
    def fetch(self, page_id: int) -> None:
        """Fetch a page and let go of it."""
        self._access(page_id).__exit__(None, None, None)
        self._compare(page_id)

    @values(page_id=_PAGE_IDS)
    def pin(self, page_id: int) -> Any:
        """Fetch a page and keep it."""
        if page_id in self._held or len(self._held) == self._most_pinned:
            return NotImplemented
        page = self._access(page_id)
        self._held[page_id] = page
        return self._compare(page_id)

    @values(page_id=_PAGE_IDS)
    def unpin(self, page_id: int) -> Any:
        if page_id not in self._held:
            return NotImplemented
        return self._held.pop(page_id).__exit__(None, None, None)

    def close(self) -> None:
        while self._held:
            self._held.popitem()[1].__exit__(None, None, None)

    def _access(self, page_id: int) -> Any:
        self._due: Outcome = self._model.access(page_id, self._held)
        page = self._fetch(page_id)
        page.__enter__()
        return page

    def _compare(self, page_id: int) -> None:
        """What the pool counted for the last fetch must be what was due."""
        hits, misses = self._counted
        due = (hits + self._due.hit, misses + (not self._due.hit))
        self._counted = counters(self.pool)
        if self._counted == due:
            return
        wrong = "hits" if self._counted[0] != due[0] else "misses"
        got, want = getattr(self.pool.stats, wrong), due[wrong == "misses"]
        victim = self._due.victim
        raise CriterionFailed(
            f"{self._called}: fetch({page_id}) must be {'a hit' if self._due.hit else 'a miss'}"
            f"{'' if victim is None else f', which evicts page {victim}'}; "
            f"stats.{wrong} must be {want} then, got {got}",
            check=Compared(got, want),
        )


def judge_policy(
    submission: Submission, find: Finder, rng: random.Random, policy: str, length: int
) -> None:
    """The pool must hit and miss as `policy` does: in small pools, then on one long trace."""
    file = submission.PageFile(submission.path("trace.oor"))
    allocate(submission, file, PAGES)
    find.operations(PoolBesidePolicy, submission, file, policy, examples=EXAMPLES)
    try:
        find(lambda: _long_trace(submission, file, policy, rng, length), examples=1)
    except Smallest:  # there is a mistake: look harder for a short trace that shows it
        find.operations(PoolBesidePolicy, submission, file, policy, examples=_EXAMPLES_AFTER_ALL)
        raise


def _long_trace(
    submission: Submission, file: Remote, policy: str, rng: random.Random, length: int
) -> None:
    """Skewed fetches over more pages than frames; some stay pinned for some steps."""
    beside = PoolBesidePolicy(submission, file, policy, FRAMES)
    for _ in range(length):
        page_id = 1 + min(int(rng.expovariate(4 / PAGES)), PAGES - 1)
        step = rng.choices((beside.fetch, beside.pin, beside.unpin), (8, 2, 2))[0]
        step(page_id)
    beside.close()
