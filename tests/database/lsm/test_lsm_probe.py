"""Choosing tables by range and filter in one call, and merging runs a stretch at a time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.lsm import TOMBSTONE, BloomFilter, Columns, hash_many
from meridian.database.lsm import _probe_kernels as kernels
from meridian.database.lsm.chunks import merge_chunks, whole_groups
from meridian.database.lsm.types import Value
from tests.database.lsm.twins import twins

PLAIN = twins(kernels)
KEYS = st.binary(min_size=1, max_size=3)


def planned(groups: Sequence[Sequence[Sequence[bytes]]], bits: int) -> tuple[Any, Any]:
    """A plan of tables given as their sorted keys."""
    rows, parts, end = [], [], 0
    for keys in (keys for group in groups for keys in group):
        bloom = BloomFilter(len(keys), bits)
        bloom.insert_many(list(keys))
        places = np.cumsum([end, len(bloom.bits), len(keys[0]), len(keys[-1])]).tolist()
        rows.append([bloom.num_bits, bloom.num_hashes, *places[:2], *places[2:3] * 2, places[3], 0])
        parts += [bloom.bits, np.frombuffer(keys[0], np.uint8), np.frombuffer(keys[-1], np.uint8)]
        end = places[3]
    starts = np.cumsum([0, *map(len, groups)])
    plan = np.concatenate([[len(groups)], starts, np.array(rows, np.int64).reshape(-1)])
    return plan.astype(np.int64), np.concatenate([np.zeros(0, np.uint8), *parts])


def cut(keys: set[bytes], rng: random.Random) -> list[list[bytes]]:
    """Sorted, as tables that do not overlap."""
    ordered = sorted(keys)
    places = sorted(rng.sample(range(1, len(ordered)), min(2, len(ordered) - 1)))
    return [ordered[a:b] for a, b in zip([0, *places], [*places, len(ordered)], strict=True)]


@settings(max_examples=40)
@given(
    runs=st.lists(st.sets(KEYS, min_size=1, max_size=12), max_size=4),
    asked=st.lists(KEYS, max_size=20),
    bits=st.sampled_from([1, 10]),
    seed=st.integers(0, 99),
)
def test_a_table_that_has_the_key_is_never_passed_over(
    runs: list[set[bytes]], asked: list[bytes], bits: int, seed: int
) -> None:
    groups = [cut(run, random.Random(seed)) for run in runs]
    plan, data = planned(groups, bits)
    assert kernels.check_plan(plan, data)
    assert PLAIN.check_plan(plan, data)
    tables = [(g, keys) for g, group in enumerate(groups) for keys in group]
    keys = asked + [key for run in runs for key in run]
    for key in keys:
        group, named = 0, []
        while True:
            packed = kernels.next_table(key, key, group, plan, data)
            with np.errstate(over="ignore"):
                assert PLAIN.next_table(key, key, group, plan.tolist(), data) == packed
            table, outside, refused = (packed >> 32) - 1, packed >> 16 & 0xFFFF, packed & 0xFFFF
            if table < 0:
                assert outside + refused == len(groups) - group
                break
            assert tables[table][1][0] <= key <= tables[table][1][-1]
            assert outside + refused == tables[table][0] - group
            named.append(table)
            group = tables[table][0] + 1
        assert {t for t, (_, held) in enumerate(tables) if key in held} <= set(named)
    assert_selected_alike(keys, groups, plan, data)


def assert_selected_alike(keys: list[bytes], groups: Any, plan: Any, data: Any) -> None:
    """Many keys at once come to the same tables as one at a time."""
    arena = np.frombuffer(b"".join(keys), np.uint8)
    starts = np.cumsum([0, *map(len, keys)]).astype(np.int64)
    hashes = hash_many(keys)
    status = np.array([i % 3 == 1 for i in range(len(keys))], np.uint8)
    for group in range(len(groups)):
        found = []
        for module, numbers, begin in (
            (kernels, plan, starts),
            (PLAIN, plan.tolist(), starts.tolist()),
        ):
            todo, table_of = np.zeros((2, len(keys)), np.int64)
            with np.errstate(over="ignore"):
                count, outside, refused = module.select_rows(
                    arena, begin, hashes, status, group, numbers, data, todo, table_of
                )
            assert count + outside + refused == int((status == 0).sum())
            found.append([*zip(todo[:count].tolist(), table_of[:count].tolist(), strict=True)])
        assert found[0] == found[1]
        first = sum(map(len, groups[:group]))
        for i, key in enumerate(keys):
            packed = kernels.next_table(key, key, group, plan, data)
            alone = (packed >> 32) - 1
            here = first <= alone < first + len(groups[group])
            assert ((i, alone) in found[0]) == (here and status[i] == 0)


@pytest.mark.parametrize("module", [kernels, PLAIN], ids=["compiled", "plain"])
def test_a_plan_that_points_outside_is_refused(module: SimpleNamespace) -> None:
    plan, data = planned([[[b"a", b"b"], [b"c"]], [[b"a", b"z"]]], 10)
    assert module.check_plan(plan, data)
    for place in range(len(plan)):
        if place >= 4 and (place - 4) % kernels.ROW in (1, 7):  # hashes, and what is not used
            continue
        for wrong in (-1, len(data) + 1, 2**40):
            broken = plan.copy()
            broken[place] = wrong
            assert not module.check_plan(broken, data) or (
                wrong == len(data) + 1 and (place - 4) % kernels.ROW == 0
            )
    for size in range(len(plan)):
        assert not module.check_plan(plan[:size], data)
    assert not module.check_plan(plan, data[:-1])
    assert module.next_table(b"a", b"a", -1, plan, data) == 0
    assert module.next_table(b"a", b"a", 9, plan, data) == 0


def test_warmup_compiles_what_is_used() -> None:
    kernels.warmup()
    before = [
        len(k.signatures) for k in (kernels.check_plan, kernels.next_table, kernels.select_rows)
    ]
    from meridian.database.lsm.state import TableSet

    tables = TableSet.empty()
    kernels.next_table(b"k", b"k", 0, tables.plan, tables.data)
    after = [
        len(k.signatures) for k in (kernels.check_plan, kernels.next_table, kernels.select_rows)
    ]
    assert before == after


# -- stretches -----------------------------------------------------------------------------------

RUNS = st.lists(st.dictionaries(KEYS, st.binary(max_size=3) | st.just(TOMBSTONE)), max_size=4)


def stretches(entries: dict[bytes, Value], rng: random.Random) -> list[Columns]:
    pairs, parts = sorted(entries.items()), []
    while pairs:
        size = rng.randrange(1, 5)
        parts.append(Columns.of(pairs[:size]))
        pairs = pairs[size:]
    return parts


@given(runs=RUNS, keep=st.booleans(), seed=st.integers(0, 99))
def test_runs_are_merged_in_stretches(
    runs: list[dict[bytes, Value]], keep: bool, seed: int
) -> None:
    rng = random.Random(seed)
    wanted: dict[bytes, Value] = {}
    for run in reversed(runs):
        wanted.update(run)
    merged = merge_chunks([stretches(run, rng) for run in runs], keep_tombstones=keep)
    found = [pair for columns in merged for pair in columns.items()]
    assert found == sorted(
        (key, value) for key, value in wanted.items() if keep or value is not TOMBSTONE
    )


@given(entries=st.dictionaries(KEYS, st.binary(max_size=2)), seed=st.integers(0, 99))
def test_groups_come_whole(entries: dict[bytes, bytes], seed: int) -> None:
    parts = stretches(dict(entries), random.Random(seed))
    whole = [[*columns.items()] for columns in whole_groups(parts, lambda key: key[:1])]
    assert [pair for part in whole for pair in part] == sorted(entries.items())
    seen = [{key[:1] for key, _ in part} for part in whole]
    assert all(seen)
    assert sum(map(len, seen)) == len(set().union(*seen))
