"""Replaying fetches on a submission's pool beside the exact policy, and shrinking what differs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from grader.acceptance.database._storage import allocate, counters
from grader.compare import CriterionFailed
from grader.proxy import Remote
from grader.submission import Submission
from meridian.testing.storage import Outcome, PolicyModel

FRAMES = 8
PAGES = 24
_MOST_PINNED = 6
_ATTEMPTS = 60


class Step(NamedTuple):
    """Fetch `page_id`, keep it pinned or not, then let go of the pages in `release`."""

    page_id: int
    keep: bool = False
    release: tuple[int, ...] = ()

    def __str__(self) -> str:
        text = f"fetch {self.page_id}" + (", keep" if self.keep else "")
        return text + "".join(f"; unpin {page_id}" for page_id in self.release)


def random_trace(rng: random.Random, length: int, pages: int, most_pinned: int) -> list[Step]:
    """Skewed fetches; up to `most_pinned` pages stay pinned for some steps."""
    held: list[int] = []
    steps = []
    for _ in range(length):
        page_id = 1 + min(int(rng.expovariate(4 / pages)), pages - 1)
        keep = page_id not in held and len(held) < most_pinned and rng.random() < 0.25
        if keep:
            held.append(page_id)
        release: tuple[int, ...] = ()
        if held and rng.random() < 0.25:
            release = (held.pop(rng.randrange(len(held))),)
        steps.append(Step(page_id, keep, release))
    return steps


def replay(pool: Remote, policy: str, frames: int, steps: Sequence[Step]) -> int | None:
    """The index of the first step whose hit or miss is not the policy's, or ``None``."""
    model = PolicyModel(policy, frames)
    held: dict[int, Any] = {}
    hits, misses = counters(pool)
    try:
        for i, step in enumerate(steps):
            outcome = model.access(step.page_id, held)
            page = pool.fetch(step.page_id)
            page.__enter__()
            if step.keep:
                held[step.page_id] = page
            else:
                page.__exit__(None, None, None)
            before, (hits, misses) = (hits, misses), counters(pool)
            if (hits - before[0], misses - before[1]) != (outcome.hit, not outcome.hit):
                return i
            for page_id in step.release:
                if page_id in held:  # a shrunk trace may have lost the step that pinned it
                    held.pop(page_id).__exit__(None, None, None)
    finally:
        for page in held.values():
            page.__exit__(None, None, None)
    return None


def judge_policy(submission: Submission, rng: random.Random, policy: str, length: int) -> None:
    """The pool must hit and miss exactly as `policy` does on a random trace of `length` steps."""
    file = submission.PageFile(submission.path("trace.oor"))
    allocate(submission, file, PAGES)
    steps = random_trace(rng, length, PAGES, _MOST_PINNED)
    at = replay(submission.BufferPool(file, FRAMES, policy), policy, FRAMES, steps)
    if at is None:
        return
    frames, shown = _shortest(submission, file, rng, policy, steps[: at + 1])
    outcome = _expected(policy, frames, shown)
    wanted = "a hit" if outcome.hit else "a miss"
    found = "a miss" if outcome.hit else "a hit"
    evicted = "" if outcome.victim is None else f", which evicts page {outcome.victim}"
    raise CriterionFailed(
        f'BufferPool(file, {frames}, "{policy}"): after {len(shown) - 1} fetches, '
        f"fetch({shown[-1].page_id}) must be {wanted}{evicted}; stats counted {found}",
        " | ".join(map(str, shown[-24:])),
    )


def _expected(policy: str, frames: int, steps: Sequence[Step]) -> Outcome:
    model = PolicyModel(policy, frames)
    held: set[int] = set()
    for step in steps:
        outcome = model.access(step.page_id, held)
        held.update([step.page_id] if step.keep else [])
        held.difference_update(step.release)
    return outcome


def _shortest(
    submission: Submission, file: Remote, rng: random.Random, policy: str, steps: list[Step]
) -> tuple[int, list[Step]]:
    """A failing trace that is small: short random ones on few frames, then steps left out."""

    def fails(frames: int, trace: list[Step]) -> int | None:
        return replay(submission.BufferPool(file, frames, policy), policy, frames, trace)

    frames = FRAMES
    for attempt in range(_ATTEMPTS):
        few = 2 + attempt % 3
        trace = random_trace(rng, 6 + attempt // 3, few + 2, few - 1)
        at = fails(few, trace)
        if at is not None:
            frames, steps = few, trace[: at + 1]
            break
    else:
        return frames, steps
    i = 0
    while i < len(steps):
        shorter = steps[:i] + steps[i + 1 :]
        at = fails(frames, shorter)
        if at is None:
            i += 1
        else:
            steps = shorter[: at + 1]
    return frames, steps
