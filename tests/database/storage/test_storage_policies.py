"""Policies, victim by victim, against definitions written as plain lists; and the independent
model of `meridian.testing` against both."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meridian.database.storage import (
    BufferPool,
    PageFile,
    PinnedPage,
    PoolExhausted,
    make_policy,
)
from meridian.testing.storage import NoVictim, PolicyModel

MakePool = Callable[..., BufferPool]


class Plain:
    """One policy as its definition says, on lists; pages by frame, pins from outside."""

    def __init__(self, policy: str, frames: int) -> None:
        self.policy, self.size = policy, frames
        self.frames: list[int | None] = [None] * frames
        self.bits = [0] * frames
        self.hand = 0
        self.lru: list[int] = []  # lru, or Am of 2q: least recent first
        self.fifo: list[int] = []
        self.ghosts: list[int] = []

    def fetch(self, page: int, pins: set[int], scan: bool) -> tuple[bool, int | None]:
        if page in self.frames:
            if not scan:
                self.bits[self.frames.index(page)] = 1
                if page in self.lru:
                    self.lru.remove(page)
                    self.lru.append(page)
            return True, None
        ghost, victim = page in self.ghosts, None
        if None in self.frames:
            frame = self.frames.index(None)
        else:
            victim = self.choose(pins)
            frame = self.frames.index(victim)
        if ghost:
            self.ghosts.remove(page)
        if victim in self.fifo:
            self.fifo.remove(victim)
            self.ghosts.append(victim)
            while len(self.ghosts) > max(1, self.size // 2):
                self.ghosts.pop(0)
        elif victim in self.lru:
            self.lru.remove(victim)
        self.frames[frame] = page
        self.bits[frame] = int(not scan)
        queue = self.fifo if self.policy == "2q" and not (ghost and not scan) else self.lru
        queue.insert(0 if scan and queue is self.lru else len(queue), page)
        return False, victim

    def choose(self, pins: set[int]) -> int:
        if self.policy == "clock":
            for _ in range(2 * self.size):
                frame, self.hand = self.hand, (self.hand + 1) % self.size
                page = self.frames[frame]
                assert page is not None
                if page in pins:
                    continue
                if not self.bits[frame]:
                    return page
                self.bits[frame] = 0
        else:
            first, second = self.lru, self.fifo
            if len(self.fifo) > max(1, self.size // 4):
                first, second = second, first
            for page in [*first, *second]:
                if page not in pins:
                    return page
        raise NoVictim("all pinned")


STEPS = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from(["use", "use", "pin", "unpin", "scan"])),
    max_size=150,
)


@pytest.mark.parametrize("policy", ["lru", "clock", "2q"])
@settings(max_examples=60)
@given(frames=st.integers(1, 9), steps=STEPS)
@example(frames=1, steps=[(1, "pin"), (2, "use"), (1, "unpin"), (2, "use"), (1, "use")])
def test_every_hit_and_victim(
    policy: str, frames: int, steps: list[tuple[int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = PageFile(tmp_path_factory.mktemp("trace") / "a.oor", 512)
    file.allocate_pages(20)
    pool = BufferPool(file, frames, policy)
    plain, model = Plain(policy, frames), PolicyModel(policy, frames)
    held: dict[int, PinnedPage] = {}
    for page_id, action in steps:
        if action == "unpin":
            if page_id in held:
                held.pop(page_id).unpin()
            continue
        scan, before = action == "scan", set(pool.resident())
        try:
            expected = plain.fetch(page_id, set(held), scan)
        except NoVictim:
            hand, bits = pool.hand, bytes(pool.ref_bits)
            with pytest.raises(PoolExhausted):
                pool.fetch(page_id, scan=scan)
            assert (pool.hand, bytes(pool.ref_bits)) == (hand, bits), "nothing changes"
            assert set(pool.resident()) == before
            continue
        outcome = model.access(page_id, set(held), scan=scan)
        hits = pool.stats.hits
        page = pool.fetch(page_id, scan=scan)
        gone = before - set(pool.resident())
        found = (pool.stats.hits > hits, gone.pop() if gone else None)
        assert found == expected == (outcome.hit, outcome.victim)
        if action == "pin" and page_id not in held:
            held[page_id] = page
        else:
            page.unpin()
        assert [pool.page_table[p] for p in plain.frames if p] == [
            i for i, p in enumerate(plain.frames) if p
        ]
        if policy == "clock":
            assert pool.hand == plain.hand
            assert pool.ref_bits.tolist() == plain.bits
    for page in held.values():
        page.unpin()
    pool.close()
    file.close()


def test_an_unknown_policy_is_told(make_pool: MakePool) -> None:
    with pytest.raises(ValueError, match="lru, clock, 2q, got 'mru'"):
        make_policy("mru", array("i", [0]), bytearray(1))
    with pytest.raises(ValueError, match="'arc'"):
        make_pool(8, "arc")


def run(pool: BufferPool, pages: list[int], *, scan: bool = False) -> None:
    for page_id in pages:
        with pool.fetch(page_id, scan=scan):
            pass


@pytest.mark.parametrize("policy", ["lru", "clock", "2q"])
def test_a_scan_leaves_the_working_set_alone(make_pool: MakePool, policy: str) -> None:
    pool = make_pool(8, policy, pages=60)
    hot = [1, 2, 3, 4]  # 2Q gives new pages a quarter of the 8 frames, and one more
    for _ in range(3):
        run(pool, hot)
    for page_id in range(10, 60):
        if page_id == 35:  # by now 2Q has seen the hot pages come back
            misses = pool.stats.misses
        run(pool, [page_id], scan=True)
        run(pool, hot)  # CLOCK keeps only what is still in use: its hand clears bits
    assert set(hot) <= set(pool.resident())
    assert pool.stats.misses - misses == 25


def test_2q_keeps_what_is_used_twice_through_any_scan(make_pool: MakePool) -> None:
    """The plain scan that empties an LRU pool goes through A1in only."""
    pool = make_pool(8, "2q", pages=60)
    run(pool, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])  # 1 and 2 left A1in
    run(pool, [1, 2])  # and came back while remembered: into Am
    run(pool, list(range(20, 60)))
    assert {1, 2} <= set(pool.resident())
    lru = BufferPool(pool.file, 8, "lru")
    run(lru, [1, 2, 1, 2, *range(20, 60)])
    assert {1, 2}.isdisjoint(lru.resident())


def test_policies_serve_other_caches() -> None:
    """A policy knows frames and keys only; a block cache keys by table and offset."""
    pins, bits = array("i", bytes(8)), bytearray(2)
    policy = make_policy("2q", pins, bits)
    policy.load(0, ("sst-1", 0), scan=False)
    policy.load(1, ("sst-1", 4096), scan=False)
    frame = policy.victim()
    policy.evict(frame, ("sst-1", 0))
    policy.load(frame, ("sst-1", 0), scan=False)  # remembered: now in Am
    pins[1] = 1
    assert (frame, policy.victim()) == (0, 0)
    pins[0] = 1
    assert policy.victim() == -1


def test_the_queues_can_be_looked_at(make_pool: MakePool) -> None:
    pool = make_pool(4, "2q")
    run(pool, [1, 2, 3, 4, 5, 6, 1, 7])
    assert pool.queues() == {"A1in": [5, 6, 7], "Am": [1], "A1out": [3, 4]}
    lru = BufferPool(pool.file, 3, "lru")
    run(lru, [1, 2, 3, 1, 4])
    assert lru.queues() == {"LRU": [3, 1, 4]}
    assert BufferPool(pool.file, 3, "clock").queues() == {}
