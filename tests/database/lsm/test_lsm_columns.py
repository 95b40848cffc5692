"""Keys, columns and versions against what a list of pairs and a dict would say."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.database.lsm import (
    MISSING,
    TOMBSTONE,
    Columns,
    SstMeta,
    Tombstone,
    Version,
    VersionEdit,
    norad_id,
    norad_key,
    norad_keys,
    table_name,
)
from meridian.database.lsm.types import checked_key, checked_value

PAIRS = st.lists(
    st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=20) | st.just(TOMBSTONE))
)


@given(PAIRS)
def test_columns_are_their_pairs(pairs: list[tuple[bytes, bytes]]) -> None:
    columns = Columns.of(pairs)
    assert len(columns) == len(pairs)
    assert list(columns.items()) == pairs
    assert [(columns.key(i), columns.value(i)) for i in range(len(pairs))] == pairs
    assert columns.nbytes == sum(len(k) + (0 if v is TOMBSTONE else len(v)) for k, v in pairs)


@given(PAIRS, st.integers(-5, 25), st.integers(-5, 25))
def test_a_slice_is_a_slice(pairs: list[tuple[bytes, bytes]], start: int, stop: int) -> None:
    part = Columns.of(pairs)[start:stop]
    assert list(part.items()) == pairs[start:stop]
    assert list(part[1:].items()) == pairs[start:stop][1:]
    assert part.nbytes == Columns.of(pairs[start:stop]).nbytes


def test_a_slice_has_no_step() -> None:
    with pytest.raises(ValueError, match="slice of step 1, got 2"):
        Columns.of([(b"a", b"")])[::2]


def test_rows_of_one_width_are_not_copied() -> None:
    keys, values = norad_keys([1, 2, 300]), np.arange(12, dtype=np.uint8).reshape(3, 4)
    columns = Columns.fixed(keys, values)
    assert (columns.key_width, columns.value_width) == (4, 4)
    assert np.shares_memory(columns.key_rows(), keys)
    np.testing.assert_array_equal(columns[1:].value_rows(), values[1:])
    assert list(columns.items())[2] == (norad_key(300), bytes([8, 9, 10, 11]))
    assert Columns.fixed(keys, np.zeros((3, 0), np.uint8)).value_rows().shape == (3, 0)
    with pytest.raises(ValueError, match="as many"):
        Columns.fixed(keys, values[:2])


def test_rows_of_several_widths_are_refused() -> None:
    columns = Columns.of([(b"a", b"xx"), (b"bb", TOMBSTONE)])
    assert (columns.key_width, columns.value_width) == (0, 0)
    with pytest.raises(ValueError, match="keys of one length"):
        columns.key_rows()
    with pytest.raises(ValueError, match="values of one length"):
        columns.value_rows()


@given(st.lists(st.integers(0, 2**32 - 1), unique=True))
def test_numbers_are_ordered_as_their_keys(ids: list[int]) -> None:
    assert [norad_id(key) for key in sorted(map(norad_key, ids))] == sorted(ids)
    rows = norad_keys(np.array(ids, np.uint32))
    assert [row.tobytes() for row in rows] == [norad_key(each) for each in ids]


@pytest.mark.parametrize("bad", [-1, 2**32])
def test_numbers_have_32_bits(bad: int) -> None:
    with pytest.raises(ValueError, match="NORAD id"):
        norad_key(bad)
    with pytest.raises(ValueError, match="of 32 bits"):
        norad_keys([1, bad])


def test_only_ints_are_numbers() -> None:
    with pytest.raises(TypeError, match="as an int, got bool"):
        norad_key(True)
    for wrong in ([1.0], [True]):
        with pytest.raises(TypeError, match="as ints"):
            norad_keys(wrong)
    with pytest.raises(ValueError, match="one dimension"):
        norad_keys([[1]])
    with pytest.raises(ValueError, match="key of 4 bytes"):
        norad_id(b"abc")
    assert norad_keys([]).shape == (0, 4)


def test_keys_and_values_are_bytes_of_their_own() -> None:
    given = bytearray(b"key")
    key = checked_key(given)
    given[0] = 0
    assert key == b"key"
    assert checked_value(memoryview(b"")) == b""
    with pytest.raises(TypeError, match="as bytes, got str: encode"):
        checked_key("key")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="got NoneType"):
        checked_value(None)  # type: ignore[arg-type]
    for length in (0, 65_536):
        with pytest.raises(ValueError, match="1 to 65,535"):
            checked_key(bytes(length))
    with pytest.raises(ValueError, match="at most 65,535"):
        checked_value(bytes(65_536))


@pytest.mark.parametrize("nothing", [TOMBSTONE, MISSING])
def test_what_is_no_value_is_one_of_a_kind(nothing: object) -> None:
    assert pickle.loads(pickle.dumps(nothing)) is nothing
    assert repr(nothing) in ("TOMBSTONE", "MISSING")
    assert not isinstance(nothing, bytes)


def meta(sst_id: int, level: int, low: bytes, high: bytes) -> SstMeta:
    return SstMeta(sst_id, level, 100, low, high, 10, 0)


def ids(version: Version) -> list[list[int]]:
    return [[each.sst_id for each in level] for level in version.levels]


def test_what_is_flushed_is_the_newest() -> None:
    version = Version()
    for sst_id in (1, 2, 3):
        version = version.applied(
            VersionEdit(added=(meta(sst_id, 0, b"a", b"z"),), flushed_lsn=sst_id)
        )
    assert ids(version) == [[3, 2, 1]]
    assert (version.next_id, version.flushed_lsn, version.size_bytes) == (4, 3, 300)


def test_what_was_merged_is_as_old_as_its_runs() -> None:
    version = Version().applied(
        VersionEdit(added=tuple(meta(i, 0, b"a", b"z") for i in (4, 3, 2, 1)))
    )
    version = version.applied(VersionEdit(added=(meta(5, 0, b"a", b"z"),)))  # flushed meanwhile
    version = version.applied(VersionEdit(added=(meta(6, 0, b"a", b"z"),), removed=(3, 2)))
    assert ids(version) == [[5, 4, 6, 1]]


def test_deeper_levels_stand_in_the_order_of_keys() -> None:
    version = Version().applied(
        VersionEdit(added=(meta(1, 1, b"m", b"p"), meta(2, 1, b"a", b"c"), meta(3, 2, b"a", b"z")))
    )
    assert ids(version) == [[], [2, 1], [3]]
    assert version.level(5) == ()
    with pytest.raises(ValueError, match=r"overlap, got sst_000002\.dat in L1 and sst_000004"):
        version.applied(VersionEdit(added=(meta(4, 1, b"c", b"d"),)))
    with pytest.raises(ValueError, match=r"remove a table that counts, got sst_000009"):
        version.applied(VersionEdit(removed=(9,)))
    with pytest.raises(ValueError, match="there already"):
        version.applied(VersionEdit(added=(meta(3, 3, b"a", b"b"),)))


def test_each_level_remembers_where_choosing_goes_on() -> None:
    version = Version().applied(VersionEdit(cursor=(2, b"m")))
    version = version.applied(VersionEdit(cursor=(1, b"f")))
    version = version.applied(VersionEdit(cursor=(2, b"q")))
    version = version.applied(VersionEdit(added=(meta(1, 0, b"a", b"z"),)))
    assert version.cursors == ((1, b"f"), (2, b"q"))
    assert [version.cursor(level) for level in range(4)] == [b"", b"f", b"q", b""]


def test_names_sort_as_tables_age() -> None:
    assert table_name(1) == "sst_000001.dat"
    assert table_name(1_234_567) == "sst_1234567.dat"


def test_a_table_overlaps_what_it_may_hold() -> None:
    table = meta(1, 1, b"c", b"f")
    assert table.overlaps(b"a", b"c")
    assert table.overlaps(b"f", b"z")
    assert not table.overlaps(b"a", b"b")
    assert not table.overlaps(b"g", b"z")


@given(
    st.integers(1, 9),
    st.integers(0, 9),
    st.integers(0, 12),
    st.integers(0, 12),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_pairs_of_one_width_keep_every_byte(
    w: int, v: int, start: int, stop: int, dead: bool, rng: random.Random
) -> None:
    """They are cut in another way, in which zeros at the end must not be lost."""
    pairs: list[tuple[bytes, bytes | Tombstone]] = [
        (bytes(rng.choices((0, 1, 255), k=w)), bytes(rng.choices((0, 1, 255), k=v)))
        for _ in range(10)
    ]
    if dead:
        pairs[rng.randrange(10)] = (bytes(w), TOMBSTONE)
    assert list(Columns.of(pairs)[start:stop].items()) == pairs[start:stop]
