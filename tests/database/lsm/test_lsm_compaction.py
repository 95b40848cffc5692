"""Strategies on numbers alone: what is chosen, in which order, and that no choice loses a key."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.database.lsm import SstMeta, Version, VersionEdit
from meridian.database.lsm.compaction import (
    CompactionKind,
    CompactionTask,
    Strategy,
    check_task,
    older_than,
)
from meridian.database.lsm.fifo import Fifo
from meridian.database.lsm.leveled import Leveled
from meridian.database.lsm.options import KeyPrefix, LsmOptions
from meridian.database.lsm.tiered import Tiered

MIB = 1 << 20


def key(n: int) -> bytes:
    return n.to_bytes(4, "big")


def table(
    sst_id: int,
    level: int = 0,
    low: int = 0,
    high: int = 99,
    *,
    mib: float = 4,
    tombstones: int = 0,
    created_ns: int = 0,
) -> SstMeta:
    size = int(mib * MIB)
    return SstMeta(sst_id, level, size, key(low), key(high), 50, tombstones, 0, created_ns)


def version(*tables: SstMeta) -> Version:
    return Version().applied(VersionEdit(added=tables))


def ids(task: CompactionTask | None) -> list[int]:
    assert task is not None
    return [meta.sst_id for meta in task.inputs]


OPTS = LsmOptions()


# -- leveled ---------------------------------------------------------------------------------------


def test_level_0_goes_first_with_all_it_overlaps() -> None:
    tree = version(
        *(table(n, 0, 20, 49) for n in (9, 8, 7, 6)),
        *(table(1, 1, 0, 19, mib=400), table(2, 1, 40, 60), table(3, 1, 61, 99)),
    )
    task = Leveled().pick(tree, OPTS)
    assert ids(task) == [9, 8, 7, 6, 2]
    assert task is not None
    assert (task.output_level, task.kind, task.older) == (1, CompactionKind.MERGE, ())
    assert Leveled().pick(version(*(table(n) for n in (3, 2, 1))), OPTS) is None


def test_the_fullest_level_is_next() -> None:
    opts = LsmOptions(l1_bytes=10 * MIB, size_ratio=10)
    tree = version(
        table(1, 1, 0, 9, mib=11), table(2, 2, 0, 4, mib=70), table(3, 2, 50, 60, mib=80)
    )
    task = Leveled().pick(tree, opts)  # 1.1 against 1.5
    assert task is not None
    assert task.output_level == 3
    assert ids(task) == [2]
    assert task.cursor == (2, key(4))
    assert Leveled().pick(version(table(1, 1, mib=10), table(2, 2, mib=100)), opts) is None


def test_tables_of_a_level_take_turns() -> None:
    opts = LsmOptions(l1_bytes=1 * MIB)
    tree = version(*(table(n, 1, 10 * n, 10 * n + 9, mib=2) for n in range(1, 6)))
    number, seen = count(100), []
    for _ in range(10):
        task = Leveled().pick(tree, opts)
        assert task is not None
        chosen = task.inputs[0]
        seen.append(chosen.min_key[-1] // 10)
        # The level above fills the gap again at once.
        again = chosen._replace(sst_id=next(number))
        moved = [meta._replace(level=2) for meta in task.inputs[:1]]
        tree = tree.applied(VersionEdit((*moved, again), tuple(ids(task)), cursor=task.cursor))
    assert seen == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]


def test_a_table_alone_is_moved_unless_it_can_lose_tombstones() -> None:
    opts = LsmOptions(l1_bytes=1 * MIB)
    task = Leveled().pick(version(table(1, 1, 0, 9), table(2, 2, 50, 60)), opts)
    assert task is not None
    assert (ids(task), task.kind) == ([1], CompactionKind.MOVE)
    task = Leveled().pick(version(table(1, 1, 0, 9, tombstones=3), table(2, 2, 50, 60)), opts)
    assert task is not None
    assert (ids(task), task.kind) == ([1], CompactionKind.MERGE)
    # Something older lies deeper still: rewriting would gain nothing.
    task = Leveled().pick(version(table(1, 1, 0, 9, tombstones=3), table(2, 3, 5, 60)), opts)
    assert task is not None
    assert (ids(task), task.kind) == ([1], CompactionKind.MOVE)


def test_the_deepest_level_stays_however_full() -> None:
    opts = LsmOptions(l1_bytes=1 * MIB, max_levels=3, size_ratio=2)
    assert Leveled().pick(version(table(1, 2, mib=900)), opts) is None


def test_one_terabyte_needs_level_5() -> None:
    opts = LsmOptions()
    assert sum(opts.level_target_bytes(n) for n in range(1, 5)) < 1 << 40
    assert sum(opts.level_target_bytes(n) for n in range(1, 6)) > 1 << 40
    assert opts.level_target_bytes(4) == 256_000 * MIB


def test_full_leaves_one_level() -> None:
    tree = version(table(5), table(4), table(2, 1, 0, 40), table(3, 1, 41, 50), table(1, 3))
    task = Leveled().full(tree, OPTS)
    assert task is not None
    assert (ids(task), task.output_level) == ([5, 4, 2, 3, 1], 3)
    assert Leveled().full(Version(), OPTS) is None
    assert Leveled().full(version(table(1, 2)), OPTS) is None
    assert ids(Leveled().full(version(table(1, 2, tombstones=1)), OPTS)) == [1]
    assert ids(Leveled().full(version(table(1)), OPTS)) == [1]
    task = Leveled().full(version(table(1)), OPTS)
    assert task is not None
    assert task.output_level == 1


# -- tiered ----------------------------------------------------------------------------------------


def runs(*mib: float) -> Version:
    """Sorted runs, the newest first."""
    return version(*(table(len(mib) - n, mib=each) for n, each in enumerate(mib)))


def test_tiers_wait_for_their_number() -> None:
    assert Tiered().pick(runs(100, 1, 1), OPTS) is None


def test_too_much_space_merges_all() -> None:
    assert len(ids(Tiered().pick(runs(10, 10, 10, 15), OPTS))) == 4
    assert len(ids(Tiered().pick(runs(10, 10, 10, 15.1), OPTS))) < 4


def test_a_much_larger_run_is_left_out() -> None:
    assert ids(Tiered().pick(runs(1, 1, 10, 100), OPTS)) == [4, 3]
    # The first run alone would be no merge, though the second is much larger.
    assert ids(Tiered().pick(runs(1, 50, 40, 100), OPTS)) == [4, 3, 2]
    wide = replace(OPTS, min_merge_width=3)
    assert ids(Tiered().pick(runs(1, 1, 10, 100), wide)) == [4, 3, 2]


def test_runs_become_fewer_than_the_trigger() -> None:
    level_sizes = replace(OPTS, max_size_amp_percent=10_000, size_ratio_percent=10_000)
    for number in (4, 5, 9):
        task = Tiered().pick(runs(*[1] * number), level_sizes)
        assert number - len(ids(task)) + 1 == OPTS.num_tiers - 1


def test_full_tiers_are_one_run() -> None:
    assert ids(Tiered().full(runs(1, 2, 3), OPTS)) == [3, 2, 1]
    assert Tiered().full(runs(1), OPTS) is None
    assert Tiered().full(Version(), OPTS) is None
    deep = Tiered().full(version(table(1, 2), table(2, 3)), OPTS)
    assert deep is not None
    assert deep.output_level == 3  # what is flushed meanwhile must stay above it


# -- fifo ------------------------------------------------------------------------------------------


def test_the_oldest_are_dropped() -> None:
    opts = replace(OPTS, fifo_bytes=10 * MIB)
    tree = version(*(table(n) for n in (4, 3, 2, 1)))
    task = Fifo().pick(tree, opts)
    assert task is not None
    assert (ids(task), task.kind) == ([2, 1], CompactionKind.DROP)
    assert Fifo().pick(version(table(2), table(1)), opts) is None
    assert Fifo().full(tree, opts) is None


def test_what_is_too_old_is_dropped() -> None:
    opts = replace(OPTS, fifo_ttl_s=7.0)
    tree = version(*(table(n, created_ns=n * 10**9) for n in (4, 3, 2, 1)))
    assert Fifo().pick(tree, opts, now_ns=8 * 10**9) is None
    assert ids(Fifo().pick(tree, opts, now_ns=8 * 10**9 + 1)) == [1]
    assert ids(Fifo().pick(tree, opts, now_ns=100 * 10**9)) == [4, 3, 2, 1]


# -- tombstones ------------------------------------------------------------------------------------


def test_what_is_older_keeps_tombstones() -> None:
    tree = version(
        table(9, 0, 0, 50), table(8, 0, 0, 50), table(7, 0, 40, 60), table(5, 1, 45, 70),
        table(6, 1, 71, 99), table(1, 2, 0, 30),
    )  # fmt: skip
    merged = older_than(tree, tree.level(0)[:2])
    assert [meta.sst_id for meta in merged] == [7, 5, 1]
    assert [meta.sst_id for meta in older_than(tree, tree.level(0)[1:])] == [5, 1]
    assert older_than(tree, tree.tables) == ()
    # A newer table holds nothing that its tombstones do not hide themselves.
    assert [meta.sst_id for meta in older_than(tree, tree.level(2))] == []
    task = CompactionTask(tree.level(0)[:2], 0, merged)
    assert task.could_hide(key(65))
    assert task.could_hide(key(10))
    assert not task.could_hide(key(35))
    assert not task.could_hide(key(80))


@pytest.mark.parametrize(
    ("inputs", "level", "why"),
    [
        ((9, 7), 0, "pass it"),  # 8 lies between
        ((9, 8), 1, "pass it"),
        ((9, 8, 7), 1, "would overlap it"),
        ((9, 8, 5), 1, "pass it"),  # 7 is older, and would be above
        ((7, 8), 0, "newest first"),
        ((5,), 0, "below all inputs"),
        ((1,), 1, "below all inputs"),
        ((99,), 1, "inputs that count"),
        ((), 1, "Expected inputs"),
    ],
)
def test_a_task_that_would_change_an_answer_is_refused(
    inputs: tuple[int, ...], level: int, why: str
) -> None:
    tree = version(table(9), table(8), table(7), table(5, 1), table(1, 2))
    here = {meta.sst_id: meta for meta in (*tree.tables, table(99))}
    with pytest.raises(ValueError, match=why):
        check_task(tree, CompactionTask(tuple(here[n] for n in inputs), level))


def grown(strategy: Strategy, opts: LsmOptions, steps: int, seed: int) -> None:
    """Flush and compact tables that hold (key, age) pairs; no key may ever come out older."""
    rng = random.Random(seed)
    tree, number = Version(), count(1)
    holds: dict[int, dict[int, int]] = {}
    newest: dict[int, int] = {}
    for step in range(steps):
        low = rng.randrange(80)
        keys = [n for n in range(low, low + 20) if rng.random() < 0.7] or [low]
        flushed = table(next(number), 0, keys[0], keys[-1], mib=rng.choice((1, 2, 4)))
        holds[flushed.sst_id] = dict.fromkeys(keys, step)
        newest.update(holds[flushed.sst_id])
        tree = tree.applied(VersionEdit(added=(flushed,)))
        task = strategy.pick(tree, opts) if rng.random() < 0.9 else strategy.full(tree, opts)
        while task is not None:
            check_task(tree, task)
            tree = carried_out(tree, task, holds, number)
            task = strategy.pick(tree, opts)
        found: dict[int, int] = {}
        for meta in reversed(tree.tables):
            found.update(holds[meta.sst_id])
        assert found == newest


def carried_out(
    tree: Version, task: CompactionTask, holds: dict[int, dict[int, int]], number: count[int]
) -> Version:
    removed = tuple(meta.sst_id for meta in task.inputs)
    if task.kind is CompactionKind.MOVE:
        added = tuple(meta._replace(level=task.output_level) for meta in task.inputs)
    else:
        merged: dict[int, int] = {}
        for meta in reversed(task.inputs):
            merged.update(holds[meta.sst_id])
        keys = sorted(merged)
        cuts = (
            [keys]
            if task.output_level == 0
            else [keys[n : n + 15] for n in range(0, len(keys), 15)]
        )
        made = []
        for cut in cuts:
            mib = max(1, len(cut) / 5)
            meta = table(next(number), task.output_level, cut[0], cut[-1], mib=mib)
            holds[meta.sst_id] = {n: merged[n] for n in cut}
            made.append(meta)
        added = tuple(made)
    return tree.applied(VersionEdit(added, removed, cursor=task.cursor))


@given(seed=st.integers(0, 2**32))
@pytest.mark.parametrize("strategy", [Leveled(), Tiered()], ids=lambda each: each.name)
def test_no_choice_loses_what_is_newest(strategy: Strategy, seed: int) -> None:
    opts = LsmOptions(l0_trigger=2, l1_bytes=6 * MIB, size_ratio=2, max_levels=4, num_tiers=3)
    grown(strategy, opts, 40, seed)


# -- options ---------------------------------------------------------------------------------------


def test_writers_wait_for_what_can_be_done() -> None:
    tree = version(*(table(n) for n in range(12, 0, -1)))
    fewer = version(*(table(n) for n in range(11, 0, -1)))
    for strategy, waits in ((Leveled(), True), (Tiered(), True), (Fifo(), False)):
        assert strategy.must_wait(tree, OPTS) is waits
        assert not strategy.must_wait(fewer, OPTS)
        if waits:  # else it would be for ever
            assert strategy.pick(tree, OPTS) is not None


@pytest.mark.parametrize(
    ("wrong", "error", "why"),
    [
        ({"memtable_bytes": 0}, ValueError, "memtable_bytes >= 1"),
        ({"bits_per_key": 0}, ValueError, "bits_per_key >= 1"),
        ({"block_size": True}, TypeError, "block_size as an int, got bool"),
        ({"l0_trigger": 5, "l0_stop": 4}, ValueError, r"l0_stop >= l0_trigger \(5\), got 4"),
        ({"strategy": "lazy"}, ValueError, "among leveled, tiered, fifo, got 'lazy'"),
        ({"background": 1}, TypeError, "background as bool"),
        ({"fifo_ttl_s": 0}, ValueError, "fifo_ttl_s > 0 s"),
        ({"filter_key": b"x"}, TypeError, "filter_key to be callable"),
        ({"compaction_bytes_per_s": 0}, ValueError, "compaction_bytes_per_s >= 1"),
        ({"max_levels": None}, TypeError, "max_levels as an int"),
    ],
)
def test_options_that_cannot_be(wrong: dict[str, object], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        LsmOptions(**wrong)  # type: ignore[arg-type]


def test_prefixes_as_filter_keys() -> None:
    first = KeyPrefix(3)
    assert (first(b"abcdef"), first(b"ab")) == (b"abc", b"ab")
    assert (first.of_prefix(b"abcd"), first.of_prefix(b"abc"), first.of_prefix(b"ab")) == (
        b"abc", b"abc", None,
    )  # fmt: skip
    with pytest.raises(ValueError, match="length of a prefix >= 1"):
        KeyPrefix(0)
