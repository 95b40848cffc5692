"""The hit path of the buffer pool against the number of frames: it must not grow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.harness import Race, Side, race
from meridian.database.storage import BufferPool, PageFile
from meridian.foundation.profiling.bench import SweepResult, sweep

__all__ = ["HOT", "MISSION_HIT_NS", "POLICIES", "hit_growth", "hit_race"]

MISSION_HIT_NS = 1_000  # what the module's table asks for; printed, since absolute times move
POLICIES = ("clock", "lru", "2q")
HOT = 64  # pages touched, in every pool: their cost is the pool's, not the processor cache's


def hit_race(
    folder: Path,
    *,
    frames: int,
    rounds: int,
    retry: bool = True,
    seed: int = 0,
    repeat: int = 100,
) -> Race:
    """A full pool of `frames` against one of 64, on the same 64 pages."""
    with _file(folder, frames) as file, ExitStack() as stack:
        small, large = (stack.enter_context(_full_pool(file, n, "clock")) for n in (HOT, frames))
        result = race(
            "fetch hit",
            Side(f"{frames:,} frames", lambda _: _touch(large, repeat)),
            Side(f"{HOT} frames", lambda _: _touch(small, repeat)),
            unit="hit",
            per=HOT * repeat,
            clock="cpu",
            rounds=rounds,
            retry=retry,
            seed=seed,
            target=1 / 1.3,
            note=f"mission figure {MISSION_HIT_NS:,} ns a hit",
        )
    return result


def hit_growth(
    folder: Path, *, frames: Sequence[int], samples: int = 15, seed: int = 0
) -> dict[str, SweepResult]:
    """CPU time per `HOT` hits for every policy, over full pools of so many frames."""
    growth = {}
    with _file(folder, max(frames)) as file:
        for policy in POLICIES:
            with ExitStack() as stack:
                make_case = partial(_case, stack, file, policy)
                growth[policy] = sweep(make_case, frames, samples=samples, seed=seed, clock="cpu")
    return growth


def _case(stack: ExitStack, file: PageFile, policy: str, frames: int) -> Callable[[], object]:
    pool = stack.enter_context(_full_pool(file, frames, policy))
    return partial(_touch, pool, 1)


def _touch(pool: BufferPool, repeat: int) -> int:
    """Fetch and unpin the hot pages; every one of them is resident."""
    fetch = pool.fetch
    for _ in range(repeat):
        for page_id in range(1, HOT + 1):
            with fetch(page_id):
                pass
    return HOT * repeat


@contextmanager
def _file(folder: Path, pages: int) -> Iterator[PageFile]:
    path = folder / f"hits-{pages}.oor"
    file = PageFile(path)
    try:
        for _ in range(pages):
            file.allocate_page()
        yield file
    finally:
        file.close()
        path.unlink()


@contextmanager
def _full_pool(file: PageFile, frames: int, policy: str) -> Iterator[BufferPool]:
    """A pool with every frame loaded, the hot pages among them."""
    pool = BufferPool(file, frames, policy)
    try:
        for page_id in range(1, frames + 1):
            with pool.fetch(page_id):
                pass
        yield pool
    finally:
        pool.close()
