"""Merging against a dict that is updated from the oldest source to the newest."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.database.lsm import (
    TOMBSTONE,
    Columns,
    OutOfOrder,
    concat,
    kway_merge,
    merge_columns,
    merge_iter,
    norad_keys,
    take,
)
from meridian.database.lsm import _merge_kernels as kernels
from tests.database.lsm.twins import twins

Entries = list[tuple[bytes, Any]]

KEY = (
    st.lists(st.sampled_from([0, 1, 255]), min_size=1, max_size=4).map(bytes)
    | st.lists(st.sampled_from([0, 255]), min_size=6, max_size=10).map(bytes)
    | st.sampled_from([b"0123456", b"0123456\0", b"01234567", b"012345678", b"012345679"])
    | st.binary(min_size=1, max_size=3)
)
SOURCE = st.dictionaries(KEY, st.binary(max_size=6) | st.just(TOMBSTONE), max_size=20).map(
    lambda found: sorted(found.items())
)
SOURCES = st.lists(SOURCE, max_size=7)
PREFIX = st.sampled_from([b"", b"sat:", b"a prefix of 16 B"])


def merged(sources: list[Entries], keep: bool) -> Entries:
    """The newest comes last, so that it wins."""
    model = {key: value for source in reversed(sources) for key, value in source}
    return [(k, v) for k, v in sorted(model.items()) if keep or v is not TOMBSTONE]


@given(SOURCES, st.booleans(), PREFIX)
def test_both_forms_are_the_dict(sources: list[Entries], keep: bool, prefix: bytes) -> None:
    sources = [[(prefix + key, value) for key, value in source] for source in sources]
    expected = merged(sources, keep)
    assert [*merge_iter(sources, keep_tombstones=keep)] == expected
    assert [*merge_iter([iter(source) for source in sources], keep_tombstones=keep)] == expected
    columns = [Columns.of(source) for source in sources]
    assert [*merge_columns(columns, keep_tombstones=keep).items()] == expected


@given(SOURCES, st.integers(0, 4), st.integers(0, 9))
def test_slices_of_columns(sources: list[Entries], first: int, stop: int) -> None:
    columns = [Columns.of(source)[first:stop] for source in sources]
    expected = merged([source[first:stop] for source in sources], True)
    assert [*merge_columns(columns).items()] == expected


def test_tombstones_hide_older_values_and_only_those() -> None:
    sources: list[Entries] = [
        [(b"back", b"new"), (b"gone", TOMBSTONE), (b"never", TOMBSTONE)],
        [(b"back", TOMBSTONE), (b"gone", b"old")],
        [(b"back", b"oldest"), (b"gone", b"oldest"), (b"stays", b"")],
    ]
    assert [*merge_iter(sources)] == [(b"back", b"new"), (b"stays", b"")]
    columns = [Columns.of(source) for source in sources]
    assert dict(merge_columns(columns).items()) == {
        b"back": b"new",
        b"gone": TOMBSTONE,
        b"never": TOMBSTONE,
        b"stays": b"",
    }


@pytest.mark.parametrize("length", [1, 6, 7, 8, 13, 14, 15, 40])
def test_the_newest_wins_whatever_the_length_of_its_key(length: int) -> None:
    key, last = b"k" * length, b"z" * length
    sources: list[Entries] = [[(key, b"%d" % age), (last, b"")] for age in range(5)]
    sources[3].insert(1, (key + b"k", b"longer"))
    expected = [(key, b"0"), (key + b"k", b"longer"), (last, b"")]
    assert [*merge_iter(sources)] == expected
    assert [*merge_columns([Columns.of(source) for source in sources]).items()] == expected


def test_nothing_to_merge() -> None:
    empty = Columns.of(())
    assert [*merge_iter([])] == [*merge_iter([[], iter(())])] == []
    assert len(merge_columns([])) == len(merge_columns([empty, empty])) == 0
    one = Columns.of([(b"a", b"1"), (b"b", TOMBSTONE)])
    assert merge_columns([empty, one]) is one
    assert [*merge_columns([one, empty], keep_tombstones=False).items()] == [(b"a", b"1")]
    clean = one[:1]
    assert merge_columns([clean], keep_tombstones=False) is clean


def test_values_are_never_compared() -> None:
    class Uncomparable:
        __lt__ = __gt__ = __le__ = __ge__ = None  # type: ignore[assignment]

    value = Uncomparable()
    assert [*merge_iter([[(b"k", value)], [(b"k", value)]])] == [(b"k", value)]  # type: ignore[list-item]


def test_no_source_is_read_further_than_needed() -> None:
    read: list[int] = []

    def source(which: int, start: int) -> Iterator[tuple[bytes, bytes]]:
        for i in range(start, start + 100):
            read.append(which)
            yield i.to_bytes(2, "big"), b""

    merge = merge_iter([source(0, 0), source(1, 1000)])
    assert read == []
    assert [key[1] for key, _ in islice(merge, 5)] == [0, 1, 2, 3, 4]
    assert (read.count(0), read.count(1)) == (5, 1)


def test_sources_are_let_go_when_the_merge_is() -> None:
    closed: list[int] = []

    def source(which: int) -> Iterator[tuple[bytes, bytes]]:
        try:
            for i in range(100):
                yield bytes([i, which]), b""
        finally:
            closed.append(which)

    merge = merge_iter([source(0), source(1), source(2)])
    next(merge)
    merge.close()  # type: ignore[attr-defined]
    assert sorted(closed) == [0, 1, 2]


@pytest.mark.parametrize(
    "keys",
    [
        [b"a", b"c", b"b"],
        [b"b", b"a"],
        [b"0123456ab", b"0123456aa"],
        [b"0123456a", b"0123456"],
    ],
)
@pytest.mark.parametrize("others", [[], [[(b"z", b"")]], [[(b"0", b"")], [(b"aa", b"")]]])
def test_a_source_that_goes_back_is_refused(keys: list[bytes], others: list[Entries]) -> None:
    sources = [[(key, b"") for key in keys], *others, [(b"zz", b"")]]
    with pytest.raises(OutOfOrder, match=f"Key {keys[-1].hex()} came after"):
        list(merge_iter(sources))
    with pytest.raises(OutOfOrder, match=f"Key {keys[-1].hex()} came after {keys[-2].hex()}"):
        list(merge_iter(sources[:1]))
    with pytest.raises(OutOfOrder, match=f"Key {keys[-1].hex()} came after {keys[-2].hex()}"):
        merge_columns([Columns.of(source) for source in sources])


@pytest.mark.parametrize("field", ["key_starts", "value_starts"])
@pytest.mark.parametrize("starts", [[0, 5, 4], [0, 1, 2**40], [-1, 0, 1], [0, 1]])
def test_columns_that_point_outside_are_refused(field: str, starts: list[int]) -> None:
    parts: dict[str, Any] = {
        "keys": np.zeros(4, np.uint8), "key_starts": np.arange(3),
        "values": np.zeros(4, np.uint8), "value_starts": np.arange(3),
        "tombstones": np.zeros(2, np.bool_),
    }  # fmt: skip
    bad = Columns(**{**parts, field: np.array(starts)})
    good = Columns.of([(b"a", b"1")])
    for call in (
        lambda: merge_columns([good, bad]),
        lambda: take(bad, np.array([0])),
        lambda: concat([bad]),
    ):
        with pytest.raises(ValueError, match=f"Expected 2 {field.split('_')[0]}s inside their"):
            call()


@given(SOURCES)
def test_concat_and_take(sources: list[Entries]) -> None:
    whole = concat([Columns.of(source)[1:] for source in sources])
    flat = [entry for source in sources for entry in source[1:]]
    assert [*whole.items()] == flat
    picked = np.random.default_rng(len(flat)).permutation(len(flat))[: len(flat) // 2]
    assert [*take(whole, picked).items()] == [flat[i] for i in picked]
    mask = np.array([i % 3 == 0 for i in range(len(flat))], np.bool_)
    assert [*take(whole, mask).items()] == flat[::3]
    with pytest.raises(IndexError):
        take(whole, np.array([len(flat)]))
    with pytest.raises(TypeError, match="ints or a mask, got float64"):
        take(whole, np.zeros(1))  # type: ignore[arg-type]


U64_ARRAYS = st.lists(
    st.lists(st.integers(0, 5) | st.integers(0, 2**64 - 1), max_size=20).map(sorted), max_size=9
)


@given(U64_ARRAYS)
def test_kway_merge_is_stable(lists: list[list[int]]) -> None:
    arrays = [np.array(one, np.uint64) for one in lists]
    sources, rows = kway_merge(arrays)
    expected = [*heapq.merge(*([(x, s, r) for r, x in enumerate(a)] for s, a in enumerate(lists)))]
    assert [*zip(sources.tolist(), rows.tolist(), strict=True)] == [(s, r) for _, s, r in expected]
    assert (sources.dtype, rows.dtype) == (np.int32, np.int64)


def test_kway_merge_of_other_widths() -> None:
    sources, rows = kway_merge(
        [np.array([1, 3, 2**32 - 1], np.uint32), np.array([2, 2**63], np.uint64)]
    )
    assert sources.tolist() == [0, 1, 0, 0, 1]
    assert rows.tolist() == [0, 0, 1, 2, 1]
    assert [len(part) for part in kway_merge([])] == [0, 0]
    assert [len(part) for part in kway_merge([np.empty(0, np.uint32)])] == [0, 0]


def test_kway_merge_refuses_what_it_cannot_merge() -> None:
    for bad in (np.array([1]), np.array([1.0]), np.array([b"a"])):
        with pytest.raises(TypeError, match="arrays of unsigned integers, got"):
            kway_merge([bad])
    with pytest.raises(TypeError, match="got list"):
        kway_merge([[1, 2]])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="one dimension, got 2"):
        kway_merge([np.zeros((1, 1), np.uint32)])
    with pytest.raises(ValueError, match="sorted arrays, got 4 after 5"):
        kway_merge([np.array([9], np.uint32), np.array([1, 5, 4], np.uint32)])


@given(SOURCES, st.integers(0, 2))
def test_kernels_and_their_twins(sources: list[Entries], depth: int) -> None:
    sources = [[(b"pp"[:depth] + key, value) for key, value in source] for source in sources]
    whole = concat([Columns.of(source) for source in sources])
    bounds = np.cumsum([0, *map(len, sources)])
    data, starts = kernels.read_only(whole.keys), kernels.read_only(whole.key_starts)
    got = []
    for form in (kernels, twins(kernels)):
        words = np.zeros(len(whole), np.uint64)
        form.first_windows(data, starts, depth, words)
        assert form.first_descent(kernels.read_only(words), data, starts, bounds) == -1
        ordered, rows = form.merge_runs(kernels.read_only(words), data, starts, bounds)
        keys = [whole.key(i) for i in rows]
        assert keys == sorted(keys)
        kept = rows.copy()
        kept = kept[: form.drop_older(ordered, data, starts, kept)]
        got.append((words.tolist(), ordered.tolist(), rows.tolist(), kept.tolist()))
        backwards = kernels.read_only(words[::-1].copy())
        empty = data[:0], starts[:0]
        descent = form.first_descent(backwards, *empty, np.array([0, len(words)]))
        drops = np.flatnonzero(np.diff(backwards.astype(object)) < 0) if len(words) > 1 else []
        assert descent == (drops[0] + 1 if len(drops) else -1)
    assert got[0] == got[1]
    assert [*take(whole, np.array(got[0][3], np.int64)).items()] == merged(sources, True)


def test_merging_tables_of_ids() -> None:
    rng, sources = np.random.default_rng(8), []
    for age in range(5):
        ids = np.sort(rng.choice(30_000, 10_000, replace=False))
        values = np.full((10_000, 82), age, np.uint8)
        values[:, :4] = norad_keys(ids)
        sources.append(Columns.fixed(norad_keys(ids), values, ids % 7 == age))
    expected = merged([[*source.items()] for source in sources], False)
    assert [*merge_columns(sources, keep_tombstones=False).items()] == expected
