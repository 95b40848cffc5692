"""The block cache against a model: what is in it, what it counts, and what threads do to it."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.lsm import BlockCache, CacheStatistics
from meridian.database.lsm.cached_table import CachedTable
from meridian.testing.storage import PolicyModel

SIZE = 64


def table_of(cache: BlockCache, sst_id: int, lengths: list[int]) -> CachedTable:
    sizes = np.array(lengths, np.int64)
    starts = np.arange(2 * len(sizes) + 1)  # of keys of one byte
    return cache.attach(sst_id, np.cumsum(sizes) - sizes, sizes, starts)


def content(sst_id: int, block: int, length: int) -> bytes:
    return random.Random(f"{sst_id}/{block}").randbytes(length)


def fetch(table: CachedTable, block: int) -> bool:
    """Look a block up, and bring it in if it was not there; whether it was. Its bytes are right."""
    length = int(table.lengths[block])
    want = content(table.sst_id, block, length)
    frames = table.pin(np.array([block]))
    try:
        frame = int(frames[0])
        if frame >= 0:
            start = frame * table.cache.block_size
            assert table.cache.memory[start : start + length] == want
            return True
        held = table.oversized([block])
        if held:
            assert held[0][1].tobytes() == want
            return True
    finally:
        table.unpin(frames)
    table.insert(block, memoryview(want))
    return False


def test_a_fresh_cache() -> None:
    cache = BlockCache()
    assert (cache.frames, cache.block_size, cache.policy.name) == (8192, 4096, "clock")
    assert cache.statistics() == CacheStatistics(0, 0, 0, 0, 0, 32 << 20)
    assert cache.statistics().hit_rate == 0.0
    assert cache.resident() == []
    assert (1, 0) not in cache
    assert repr(cache) == "BlockCache(33554432, block_size=4096, policy='clock')"


@pytest.mark.parametrize("policy", ["lru", "clock", "2q"])
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), frames=st.integers(1, 6))
def test_it_evicts_as_the_page_layer_does(policy: str, seed: int, frames: int) -> None:
    """One trace, hit by hit, with tables dropped and opened again, as the policies' model says."""
    rng = random.Random(seed)
    cache = BlockCache(frames * SIZE + 7, block_size=SIZE, policy=policy)
    assert cache.frames == frames
    lengths = [[rng.randint(1, SIZE) for _ in range(6)] for _ in range(2)]
    tables = [table_of(cache, number + 1, lengths[number]) for number in range(2)]
    model = PolicyModel(policy, frames)
    hits = evictions = lookups = 0
    for _ in range(80):
        number, block = rng.randrange(2), rng.randrange(6)
        key = 1000 * tables[number].reader + 10 * number + block
        if rng.random() < 0.05:
            held = [page for page in model.pages if page is not None and page // 10 % 10 == number]
            for page in held:
                model.discard(page)
            assert cache.drop(number + 1) == len(held)
            assert cache.drop(number + 1) == 0
            assert not fetch(tables[number], block)  # nothing more of it is taken
            assert not fetch(tables[number], block)
            tables[number] = table_of(cache, number + 1, lengths[number])
            lookups += 2
            continue
        lookups += 1
        hit = fetch(tables[number], block)
        outcome = model.access(key)
        assert hit == outcome.hit
        hits += hit
        evictions += outcome.victim is not None
        want = sorted(
            (page // 10 % 10 + 1, int(tables[page // 10 % 10].offsets[page % 10]))
            for page in model.pages
            if page is not None
        )
        assert cache.resident() == want
    stats = cache.statistics()
    assert (stats.hits, stats.misses, stats.evictions) == (hits, lookups - hits, evictions)
    sizes = {(t.sst_id, int(o)): int(n) for t in tables for o, n in zip(t.offsets, t.lengths)}  # noqa: B905
    assert stats.bytes == sum(sizes[key] for key in cache.resident())
    assert stats.blocks == len(cache.resident()) <= frames
    assert stats.hit_rate == hits / lookups


def test_blocks_of_a_scan_displace_no_better_ones() -> None:
    cache = BlockCache(3 * SIZE, block_size=SIZE, policy="lru")
    table = table_of(cache, 1, [SIZE] * 9)
    assert not any(fetch(table, block) for block in (0, 1, 2))
    for block in (3, 4, 5):
        table.insert(block, memoryview(content(1, block, SIZE)), scan=True)
    assert cache.resident() == [(1, SIZE), (1, 2 * SIZE), (1, 5 * SIZE)]


def test_what_is_pinned_stays() -> None:
    cache = BlockCache(2 * SIZE, block_size=SIZE)
    table = table_of(cache, 1, [SIZE] * 4)
    fetch(table, 0), fetch(table, 1)
    frames = table.pin(np.array([0, 1, 2]))
    assert frames.tolist() == [0, 1, -1]
    assert not fetch(table, 3)
    assert not fetch(table, 3)  # there was no room
    assert cache.resident() == [(1, 0), (1, SIZE)]
    assert cache.statistics().evictions == 0
    table.unpin(frames)
    assert not fetch(table, 3)
    assert fetch(table, 3)


def test_a_dropped_table_keeps_its_pinned_frames_until_they_are_read() -> None:
    cache = BlockCache(2 * SIZE, block_size=SIZE)
    table = table_of(cache, 1, [SIZE] * 2)
    fetch(table, 0), fetch(table, 1)
    frames = table.pin(np.array([0]))
    assert cache.drop(1) == 2
    assert cache.statistics()[3:5] == (0, 0)
    other = table_of(cache, 2, [SIZE] * 3)
    assert not any(fetch(other, block) for block in (0, 1, 2))
    start = int(frames[0]) * SIZE
    assert cache.memory[start : start + SIZE] == content(1, 0, SIZE)
    assert len(cache.resident()) == 1
    table.unpin(frames)
    assert not fetch(other, 0)
    assert len(cache.resident()) == 2
    assert not any(cache.pins)


def test_oversized_blocks_are_kept_beside_the_frames() -> None:
    cache = BlockCache(64 * SIZE, block_size=SIZE)  # an eighth of it are 512 bytes
    table = table_of(cache, 1, [200, 200, 200, SIZE, 600])
    assert not any(fetch(table, block) for block in (0, 1, 3))
    assert fetch(table, 0)
    assert cache.statistics() == CacheStatistics(1, 3, 0, 3, 400 + SIZE, 64 * SIZE)
    assert not fetch(table, 2)  # the last used ones stay
    assert fetch(table, 0)
    assert not fetch(table, 4)
    assert not fetch(table, 4)  # longer than all of them may be
    assert cache.resident() == [(1, 0), (1, 400), (1, 600)]
    assert (1, 400) in cache
    assert table.missed(0) is not None
    assert table.missed(1) is None
    table.insert(0, memoryview(content(1, 0, 200)))
    assert cache.statistics()[2:5] == (1, 3, 400 + SIZE)
    assert cache.drop(1) == 3
    assert cache.statistics()[3:5] == (0, 0)
    assert table.missed(0) is None


def test_a_table_that_is_open_twice_is_two() -> None:
    """Each reader has checked what it put in, of a file that another may have replaced since."""
    cache = BlockCache(4 * SIZE, block_size=SIZE)
    one, two = table_of(cache, 1, [SIZE]), table_of(cache, 1, [SIZE])
    assert not fetch(one, 0)
    assert not fetch(two, 0)
    one.detach()
    assert cache.resident() == [(1, 0)]
    assert fetch(two, 0)
    assert cache.drop(1) == 1


@pytest.mark.parametrize("capacity", [0, SIZE - 1])
def test_a_cache_without_room(capacity: int) -> None:
    cache = BlockCache(capacity, block_size=SIZE)
    table = table_of(cache, 1, [SIZE, 600])
    assert not any(fetch(table, block) for block in (0, 0, 1, 1))
    assert cache.statistics() == CacheStatistics(0, 4, 0, 0, 0, capacity)
    assert cache.drop(1) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"capacity_bytes": -1}, ValueError, "capacity_bytes >= 0, got -1"),
        ({"capacity_bytes": True}, TypeError, "capacity_bytes as an int, got bool"),
        ({"capacity_bytes": 1e6}, TypeError, "capacity_bytes as an int, got float"),
        ({"capacity_bytes": 1 << 60}, ValueError, "the number of frames <="),
        ({"capacity_bytes": 1 << 52, "block_size": 65_536}, ValueError, "the number of frames <="),
        ({"block_size": 63}, ValueError, "block_size >= 64, got 63"),
        ({"block_size": 0}, ValueError, "block_size >= 64, got 0"),
        ({"policy": "fifo"}, ValueError, "a policy from lru, clock, 2q, got 'fifo'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        BlockCache(**arguments)  # type: ignore[arg-type]


def test_threads_see_their_own_bytes() -> None:
    """Four threads over two tables, with fewer frames than pinned blocks, one dropping tables."""
    cache = BlockCache(5 * SIZE, block_size=SIZE)
    tables = [table_of(cache, sst_id, [SIZE] * 12 + [200]) for sst_id in (1, 2)]
    errors: list[BaseException] = []
    start = threading.Barrier(4)

    def work(seed: int) -> None:
        rng = random.Random(seed)
        try:
            start.wait(60)
            for turn in range(600):
                table = tables[rng.randrange(2)]
                if rng.random() < 0.5:
                    fetch(table, rng.randrange(13))
                    continue
                blocks = np.array(sorted(rng.sample(range(12), 3)))
                frames = table.pin(blocks)
                for block, frame in zip(blocks.tolist(), frames.tolist(), strict=True):
                    if frame >= 0:
                        held = cache.memory[frame * SIZE : (frame + 1) * SIZE]
                        assert held == content(table.sst_id, block, SIZE)
                table.unpin(frames)
                if seed == 0 and turn % 100 == 99:
                    number = turn // 100 % 2
                    cache.drop(number + 1)
                    tables[number] = table_of(cache, number + 1, [SIZE] * 12 + [200])
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not errors
    assert not any(cache.pins)
    stats = cache.statistics()
    assert stats.blocks == len(cache.resident()) <= 5 + 1
    for table in tables:
        table.detach()
    assert cache.statistics()[3:5] == (0, 0)
    fresh = table_of(cache, 3, [SIZE] * 5)
    assert not any(fetch(fresh, block) for block in range(5))
    assert all(fetch(fresh, block) for block in range(5))  # no frame was lost
