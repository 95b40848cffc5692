"""A buffer pool one access at a time: type a trace, look at every state on the way.

The states are read off a real `BufferPool` over a real file, which is what makes a picture of them
worth looking at.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from meridian.academy.widgets.pool_reasons import reason
from meridian.academy.widgets.pool_state import Access, Frame, Outcome, PoolState, Step
from meridian.database.storage import BufferPool, PageFile, PinnedPage, PoolExhausted

__all__ = ["MAX_ACCESSES", "MAX_PAGE", "TraceRun", "pool_state", "read_trace", "run_trace"]

MAX_PAGE = 99  # two digits fit a frame of the picture
MAX_ACCESSES = 120
_TOKEN = re.compile(r"(\d+)(-|[ws+]*)")
_PAGE_SIZE = 512


class TraceRun(NamedTuple):
    """A trace and what it did: ``steps[0]`` is the empty pool, ``steps[i]`` follows access i."""

    policy: str
    accesses: list[Access]
    steps: list[Step]


def read_trace(text: str) -> list[Access]:
    """The accesses that `text` names, separated by blanks or commas.

    ``3`` fetches page 3 and unpins it, ``3w`` writes to it as well, ``3s`` fetches it with
    ``scan=True``, ``3+`` keeps it pinned and ``3-`` gives up such a pin; ``w``, ``s`` and ``+``
    combine. Raises `ValueError` naming the first token that is none of these.
    """
    tokens = text.replace(",", " ").split()
    if not tokens:
        raise ValueError("Expected at least one page number, for instance: 1 2 3w 4s 5+ 5-")
    if len(tokens) > MAX_ACCESSES:
        raise ValueError(f"Expected at most {MAX_ACCESSES} accesses, got {len(tokens)}")
    return [_access(token) for token in tokens]


def _access(token: str) -> Access:
    match = _TOKEN.fullmatch(token)
    if match is None or not token.isascii():
        raise ValueError(
            f"Expected a page number, then w, s, + or -, got {token[:20]!r}; "
            "for instance 3 3w 3s 3+ 3-"
        )
    page_id, marks = int(match[1][:4]), match[2]
    if not 1 <= page_id <= MAX_PAGE:
        raise ValueError(f"Expected a page from 1 to {MAX_PAGE}, got {token[:20]!r}")
    return Access(
        token,
        page_id,
        write="w" in marks,
        scan="s" in marks,
        keep="+" in marks,
        unpin=marks == "-",
    )


def run_trace(trace: str | Sequence[Access], frames: int = 5, policy: str = "clock") -> TraceRun:
    """Run `trace` on a `BufferPool` of `frames` frames and keep the state after every access."""
    accesses = read_trace(trace) if isinstance(trace, str) else list(trace)
    with (
        tempfile.TemporaryDirectory(prefix="meridian-") as folder,
        PageFile(Path(folder) / "trace.oor", _PAGE_SIZE) as file,
    ):
        file.allocate_pages(max((access.page_id for access in accesses), default=1))
        pool = BufferPool(file, frames, policy)
        held: dict[int, list[PinnedPage]] = {}
        try:
            steps = list(_steps(pool, accesses, held))
        finally:
            for page in (page for pages in held.values() for page in pages):
                page.unpin()
            pool.close()
    return TraceRun(policy, accesses, steps)


def _steps(
    pool: BufferPool, accesses: Sequence[Access], held: dict[int, list[PinnedPage]]
) -> Iterable[Step]:
    before = pool_state(pool)
    yield Step(None, before, Outcome.START, None, None, (), "Every frame is empty.")
    for access in accesses:
        outcome = _perform(pool, access, held)
        after = pool_state(pool)
        frame = after.frame_of(access.page_id)
        victim = None
        if outcome is Outcome.MISS and frame is not None:
            victim = before.frames[frame].page_id
        cleared = tuple(
            number
            for number, (old, new) in enumerate(zip(before.frames, after.frames, strict=True))
            if old.ref and not new.ref and number != frame
        )
        why = reason(pool.policy, access, outcome, before, after, frame, victim)
        yield Step(access, after, outcome, frame, victim, cleared, why)
        before = after


def _perform(pool: BufferPool, access: Access, held: dict[int, list[PinnedPage]]) -> Outcome:
    pages = held.setdefault(access.page_id, [])
    if access.unpin:
        if not pages:
            return Outcome.NOT_PINNED
        pages.pop().unpin()
        return Outcome.UNPIN
    hits = pool.stats.hits
    try:
        page = pool.fetch(access.page_id, scan=access.scan)
    except PoolExhausted:
        return Outcome.REFUSED
    if access.write:
        page.data_mut()[-1] ^= 1
    if access.keep:
        pages.append(page)
    else:
        page.unpin()
    return Outcome.HIT if pool.stats.hits > hits else Outcome.MISS


def pool_state(pool: BufferPool) -> PoolState:
    """What `pool` holds now: frames, hand, queues, counters."""
    with pool.latch:
        page_of = {int(pool.page_table[page_id]): page_id for page_id in pool.resident()}
        bits = zip(
            pool.pin_counts.tolist(),
            pool.dirty_bits.tolist(),
            pool.ref_bits.tolist(),
            strict=True,
        )
        frames = tuple(
            Frame(page_of.get(number), pins, bool(dirty), bool(ref))
            for number, (pins, dirty, ref) in enumerate(bits)
        )
        stats = pool.stats
        return PoolState(
            frames,
            pool.hand,
            {name: tuple(pages) for name, pages in pool.queues().items()},
            stats.hits,
            stats.misses,
            stats.evictions,
            stats.writebacks,
            stats.exhausted,
        )
