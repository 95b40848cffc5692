"""Memtables against a dict: contents, order, sizes, snapshots while others write."""

from __future__ import annotations

import random
import threading
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meridian.database.lsm import (
    MISSING,
    TOMBSTONE,
    Columns,
    FrozenError,
    MemTable,
    norad_key,
    norad_keys,
)
from meridian.database.lsm import _order_kernels as kernels
from meridian.database.lsm.ordering import in_order, sorted_columns
from meridian.database.lsm.records import Records
from tests.database.lsm.twins import twins

KEY = st.binary(min_size=1, max_size=3) | st.binary(min_size=1, max_size=30)
VALUE = st.binary(max_size=12)
BOUND = st.none() | st.binary(max_size=3)
LSN = st.integers(0, 50)
RECORD = bytes(82)


def size_of(model: dict[bytes, Any]) -> int:
    return sum(len(key) + (0 if v is TOMBSTONE else len(v)) for key, v in model.items())


class AgainstADict(RuleBasedStateMachine):
    """Every operation on a memtable of 60 bytes, and the same on a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.model = MemTable(60, table_id=7), dict[bytes, Any]()
        self.lsns: list[int] = []

    writable = precondition(lambda self: not self.table.frozen)

    @writable
    @rule(key=KEY, value=VALUE, lsn=LSN)
    def put(self, key: bytes, value: bytes, lsn: int) -> None:
        self.table.put(key, value, lsn)
        self.model[key] = value
        self.lsns += [lsn] * (lsn > 0)

    @writable
    @rule(key=KEY, lsn=LSN)
    def delete(self, key: bytes, lsn: int) -> None:
        self.table.delete(key, lsn)
        self.model[key] = TOMBSTONE
        self.lsns += [lsn] * (lsn > 0)

    @writable
    @rule(entries=st.lists(st.tuples(KEY, VALUE | st.just(TOMBSTONE)), max_size=5), lsn=LSN)
    def write(self, entries: list[tuple[bytes, Any]], lsn: int) -> None:
        assert self.table.write(entries, lsn) == len(entries)
        self.model.update(entries)
        self.lsns += [lsn + i for i in range(len(entries)) if lsn]

    @writable
    @rule(entries=st.lists(st.tuples(KEY, VALUE), max_size=12), lsn=LSN, dead=st.booleans())
    def many(self, entries: list[tuple[bytes, bytes]], lsn: int, dead: bool) -> None:
        keys, values = [k for k, _ in entries], [v for _, v in entries]
        if dead:
            taken = self.table.delete_many(keys, lsn)
        else:
            taken = self.table.put_many(keys, values, lsn)
        for stored, (key, value) in enumerate(entries):
            if stored and size_of(self.model) >= 60:
                assert taken == stored
                break
            self.model[key] = TOMBSTONE if dead else value
        else:
            assert taken == len(entries)
        self.lsns += [lsn + i for i in range(taken) if lsn]

    @rule()
    def freeze(self) -> None:
        columns = self.table.freeze()
        assert self.table.freeze() is columns
        assert [*columns.items()] == sorted(self.model.items())

    @precondition(lambda self: len(self.model) > 5)
    @rule()
    def seal(self) -> None:
        self.table.seal()

    @precondition(lambda self: self.table.frozen)
    @rule(key=KEY)
    def write_too_late(self, key: bytes) -> None:
        for late in (
            lambda: self.table.put(key, b""),
            lambda: self.table.delete(key),
            lambda: self.table.put_many([key], [b""]),
            lambda: self.table.delete_many([key]),
            lambda: self.table.write([(key, b"")]),
        ):
            with pytest.raises(FrozenError, match="Memtable 7 is frozen"):
                late()

    @rule(lo=BOUND, hi=BOUND, limit=st.none() | st.integers(0, 5))
    def scan(self, lo: bytes | None, hi: bytes | None, limit: int | None) -> None:
        expected = [
            (key, value)
            for key, value in sorted(self.model.items())
            if (lo is None or lo <= key) and (hi is None or key <= hi)
        ]
        assert self.table.items(lo, hi) == expected
        assert self.table.items(lo, hi, limit=limit) == expected[:limit]
        assert [*self.table.columns(lo, hi).items()] == expected

    @rule(key=KEY)
    def get(self, key: bytes) -> None:
        assert self.table.get(key) is self.model.get(key, MISSING)

    @invariant()
    def the_rest_agrees(self) -> None:
        table, model = self.table, self.model
        assert len(table) == len(model)
        assert table.size_bytes == size_of(model)
        assert table.tombstones == sum(value is TOMBSTONE for value in model.values())
        assert table.should_flush == (size_of(model) >= 60)
        assert (table.min_lsn, table.max_lsn) == (
            min(self.lsns, default=0),
            max(self.lsns, default=0),
        )
        assert table.get_many([*model, b"no such key at all, it is too long"]) == [
            *model.values(),
            MISSING,
        ]
        assert table.memory_bytes >= table.size_bytes


TestAgainstADict = AgainstADict.TestCase


def test_a_record_of_86_bytes_fills_4_mib_48_771_times() -> None:
    table = MemTable()
    for i in range(100_000):
        table.put(norad_key(i), RECORD)
        if table.should_flush:
            break
    assert len(table) == 48_771
    assert 200 <= table.memory_bytes / len(table) <= 260


def test_overwriting_one_key_never_fills_it() -> None:
    table = MemTable(100)
    for i in range(1000):
        table.put(b"hot", bytes(i % 90))
        assert table.size_bytes == 3 + i % 90
    assert not table.should_flush
    assert table.put_many([b"hot"] * 5000, [bytes(90)] * 5000) == 5000
    assert (len(table), table.size_bytes) == (1, 93)


def batches(
    limit: int, keys: Any, values: Any, size: int = 10**9
) -> list[list[tuple[bytes, bytes]]]:
    """The tables that come of it, filled from batches of `size`."""
    tables, at = [MemTable(limit)], 0
    while at < len(keys):
        at += tables[-1].put_many(keys[at : at + size], values[at : at + size])
        if tables[-1].should_flush:
            tables.append(MemTable(limit))
    return [table.items() for table in tables]


@given(
    st.lists(st.tuples(KEY, VALUE), max_size=40), st.integers(1, 80), st.integers(1, 40),
    st.booleans(),
)  # fmt: skip
def test_batches_make_the_same_tables_as_single_puts(
    entries: list[tuple[bytes, bytes]], limit: int, size: int, fixed: bool
) -> None:
    singles = [MemTable(limit)]
    if fixed:
        entries = [(key.ljust(30, b"\0"), value.ljust(12, b"\0")) for key, value in entries]
    for key, value in entries:
        singles[-1].put(key, value)
        if singles[-1].should_flush:
            singles.append(MemTable(limit))
    keys, values = [k for k, _ in entries], [v for _, v in entries]
    expected = [table.items() for table in singles]
    assert batches(limit, keys, values, size) == expected
    if fixed and entries:
        rows = [
            np.frombuffer(b"".join(part), np.uint8).reshape(len(entries), -1)
            for part in (keys, values)
        ]
        assert batches(limit, rows[0], rows[1], size) == expected
        assert batches(limit, rows[0], values, size) == expected


@given(st.lists(st.tuples(KEY, VALUE), max_size=40), st.integers(1, 80), st.integers(1, 15))
def test_checked_records_go_into_one_table_after_the_other(
    entries: list[tuple[bytes, bytes]], limit: int, window: int
) -> None:
    keys, values = [k for k, _ in entries], [v for _, v in entries]
    for records in (Records.puts(keys, values), Records.deletes(keys)):
        sizes = [
            len(k) + (0 if v is TOMBSTONE else len(v)) for k, v in zip(*records[:2], strict=True)
        ]
        tables, at = [MemTable(limit)], 0
        while at < len(keys):
            table = tables[-1]
            with table.lock:
                stop = min(at + window, len(keys))
                taken = table.store_many(records, at, stop, lsn=at + 1)
            assert table.max_lsn == at + taken
            assert records.size_bytes(at, at + taken) == sum(sizes[at : at + taken])
            assert at + taken == stop or table.should_flush
            at += taken
            if table.should_flush:
                tables.append(MemTable(limit))
        alone = [MemTable(limit)]
        for key, value in zip(records.keys, records.values, strict=True):
            alone[-1].write([(key, value)])
            if alone[-1].should_flush:
                alone.append(MemTable(limit))
        assert [table.items() for table in tables] == [table.items() for table in alone]


def test_a_large_batch_of_rows() -> None:
    ids = np.random.default_rng(5).permutation(100_000)
    values = np.random.default_rng(6).integers(0, 256, (100_000, 82), dtype=np.uint8)
    tables = batches(4 << 20, norad_keys(ids), values)
    assert [len(table) for table in tables] == [48_771, 48_771, 2_458]
    expected = {norad_key(int(i)): value.tobytes() for i, value in zip(ids, values, strict=True)}
    assert dict(entry for table in tables for entry in table) == expected
    assert all(table == sorted(table) for table in tables)


def test_numbers_of_writes_follow_each_other_in_a_batch() -> None:
    table = MemTable(10)
    assert table.put_many([b"a", b"b", b"c", b"d"], [b"1234"] * 4, lsn=100) == 2
    assert (table.min_lsn, table.max_lsn) == (100, 101)
    assert table.delete_many([b"x", b"y"], lsn=102) == 1
    assert (table.min_lsn, table.max_lsn) == (100, 102)
    assert table.put_many([], [], lsn=900) == 0
    assert table.write([], lsn=900) == 0
    assert table.max_lsn == 102


WRONG = [
    ("text", b"", TypeError, "a key as bytes, got str: encode"),
    (None, b"", TypeError, "a key as bytes, got NoneType"),
    (b"", b"", ValueError, "a key of 1 to 65,535 bytes, got 0"),
    (bytes(65_536), b"", ValueError, "a key of 1 to 65,535 bytes, got 65,536"),
    (b"k", "text", TypeError, "a value as bytes, got str"),
    (b"k", None, TypeError, "a value as bytes, got NoneType"),
    (b"k", bytes(65_536), ValueError, "a value of at most 65,535 bytes, got 65,536"),
]


@pytest.mark.parametrize(("key", "value", "error", "message"), WRONG)
def test_what_cannot_be_stored_changes_nothing(
    key: Any, value: Any, error: type[Exception], message: str
) -> None:
    table = MemTable()
    with pytest.raises(error, match=message):
        table.put(key, value, 5)
    with pytest.raises(error, match=message):
        table.write([(b"good", b""), (key, value)], 5)
    if key != b"k":
        for call in (table.delete, table.get):
            with pytest.raises(error, match=message):
                call(key)
    with pytest.raises(error, match=r"Expected (key|value)s "):
        table.put_many([b"good", key], [b"", value], 5)
    assert (len(table), table.size_bytes, table.max_lsn) == (0, 0, 0)


def test_other_nonsense_changes_nothing_either() -> None:
    table = MemTable()
    with pytest.raises(ValueError, match="as many values as keys, got 1 and 2"):
        table.put_many([b"a", b"b"], [b""])
    for bad in (b"key", "text", 5, None):
        with pytest.raises(TypeError, match="a sequence of keys, got one"):
            table.put_many(bad, [b""])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="keys of 1 to 65,535 bytes, got one of 0"):
        table.put_many(np.zeros((2, 0), np.uint8), np.zeros((2, 1), np.uint8))
    with pytest.raises(ValueError, match="values of 0 to 65,535 bytes, got one of 65,536"):
        table.put_many(norad_keys([1]), np.zeros((1, 65_536), np.uint8))
    with pytest.raises(TypeError, match="rows of uint8, got float64"):
        table.put_many(norad_keys([1]), np.zeros((1, 1)))  # type: ignore[arg-type]
    for lsn in (None, True, 1.5, "5"):
        for call in (
            lambda lsn=lsn: table.put(b"k", b"", lsn),
            lambda lsn=lsn: table.delete(b"k", lsn),
            lambda lsn=lsn: table.put_many([b"k"], [b""], lsn),
            lambda lsn=lsn: table.write([(b"k", b"")], lsn),
        ):
            with pytest.raises(TypeError, match="lsn as an int"):
                call()
    with pytest.raises(ValueError, match="lsn >= 0, got -1"):
        table.put(b"k", b"", -1)
    assert (len(table), table.size_bytes, table.max_lsn) == (0, 0, 0)
    for bad in ("a", 5):
        with pytest.raises(TypeError, match="a bound as bytes or None"):
            table.items(bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a bound as bytes or None"):
            table.columns(None, bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit >= 0"):
        table.items(limit=-1)
    with pytest.raises(ValueError, match="size_limit >= 1"):
        MemTable(0)
    with pytest.raises(TypeError, match="size_limit as an int"):
        MemTable(True)


def test_other_buffers_are_copied() -> None:
    table, key = MemTable(), bytearray(b"key")
    table.put(key, memoryview(b"value"))
    key[:] = b"xxx"
    assert table.get(bytearray(b"key")) == table.get(memoryview(b"key")) == b"value"
    assert table.items(bytearray(b"k"), memoryview(b"kz")) == [(b"key", b"value")]
    rows = norad_keys([1, 2, 3])
    table.put_many(rows[::2], rows[::-2])
    rows[:] = 0
    assert table.get(norad_key(1)) == norad_key(3)
    assert table.put_many(norad_keys([7]), np.zeros((1, 0), np.uint8)) == 1
    assert table.get(norad_key(7)) == b""


def test_an_empty_table() -> None:
    table = MemTable()
    assert table.items() == table.items(b"a", b"b") == []
    assert len(table.columns()) == len(table.freeze()) == len(table) == 0
    assert table.items() == []
    assert repr(table) == "MemTable(0 keys, 0 bytes, frozen)"
    assert table.get(b"a") is MISSING


def test_scans_between_writes_of_any_number() -> None:
    """Few new keys, many, and all of them since the last scan: the order is always whole."""
    rng, table, model = random.Random(1), MemTable(), {}
    for count in (0, 1, 3000, 1, 1, 500, 600, 1, 2000, 0, 1023, 1024, 1025):
        for _ in range(count):
            key, value = rng.randbytes(rng.choice([1, 4, 9])), rng.randbytes(3)
            table.put(key, value)
            model[key] = value
        expected = sorted(model.items())
        assert table.items() == expected
        assert table.items(expected[0][0] if expected else None, limit=7) == expected[:7]


def test_columns_of_a_table_in_use() -> None:
    table = MemTable()
    for i in range(1000):
        table.put(norad_key(i * 7919 % 1000), b"%d" % i)
    table.delete(norad_key(77))
    assert [*table.columns().items()] == table.items()
    assert [*table.columns(norad_key(70), norad_key(80)).items()] == table.items()[70:81]
    table.put(norad_key(77), b"back")
    assert table.columns().value(77) == b"back"


def test_tables_may_share_a_lock() -> None:
    lock = threading.Lock()
    tables = [MemTable(lock=lock), MemTable(lock=lock)]
    with lock:
        for table in tables:
            table.store(b"k", b"v", 3)
            assert table.get(b"k") == b"v"
            table.seal()
            assert len(table.freeze()) == 1
    with pytest.raises(FrozenError):
        tables[0].put(b"k", b"w")
    assert tables[0].items() == tables[1].items() == [(b"k", b"v")]


def run_threads(*jobs: Any) -> None:
    failed: list[BaseException] = []

    def run(job: Any) -> None:
        try:
            job()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def test_a_scan_sees_one_moment_while_others_write() -> None:
    """The writer stores n under "first" before it stores n under a new key and under "last"."""
    table, rounds, done = MemTable(1 << 30), 4000, threading.Event()

    def write() -> None:
        try:
            for n in range(1, rounds):
                value = n.to_bytes(4, "big")
                table.put(b"a first", value)
                table.put(b"m" + random.Random(n).randbytes(4) + value, value)
                table.put(b"z last", value)
        finally:
            done.set()

    def scan() -> None:
        seen = 0
        while not done.is_set() or seen < rounds - 1:
            entries = table.items()
            keys = [key for key, _ in entries]
            assert keys == sorted(keys)
            found = dict(entries)
            first, last = (
                int.from_bytes(found.get(key, bytes(4)), "big")  # type: ignore[arg-type]
                for key in (b"a first", b"z last")
            )
            made = sum(key.startswith(b"m") for key in found)
            assert last <= made <= first <= last + 1
            assert last >= seen
            seen = last

    run_threads(write, scan, scan)


def test_a_batch_is_seen_whole_or_not_at_all() -> None:
    table, done = MemTable(1 << 30), threading.Event()

    def write() -> None:
        try:
            for n in range(300):
                keys = [n.to_bytes(2, "big") + bytes([i]) for i in range(20)]
                if n % 3:
                    table.write([(key, b"") for key in keys])
                elif n % 2:
                    table.put_many(keys, [b""] * 20)
                else:
                    table.delete_many(keys)
        finally:
            done.set()

    def scan() -> None:
        while not done.is_set():
            assert len(table.items()) % 20 == 0
            assert len(table.columns()) % 20 == 0

    run_threads(write, scan)


def test_writers_in_many_threads_lose_nothing() -> None:
    table = MemTable(1 << 30)

    def writer(start: int) -> Any:
        def write() -> None:
            for i in range(start, 8000, 4):
                table.put(norad_key(i % 5000), bytes(i % 7), lsn=i + 1)

        return write

    run_threads(*map(writer, range(4)))
    assert len(table) == 5000
    assert table.size_bytes == size_of(dict(table.items()))
    assert (table.min_lsn, table.max_lsn) == (1, 8000)


def test_frozen_by_many_threads_at_once_it_is_sorted_once() -> None:
    table, got, late = MemTable(), list[Columns](), list[str]()
    table.put_many(norad_keys(np.arange(20_000)[::-1]), np.zeros((20_000, 8), np.uint8))

    def write() -> None:
        try:
            for i in range(10**9):
                table.put(norad_key(i), b"")
        except FrozenError as error:
            late.append(str(error))

    run_threads(write, *[lambda: got.append(table.freeze())] * 3)
    assert len(late) == 1
    assert got[0] is got[1] is got[2]
    assert [*got[0].items()] == table.items()
    assert len(got[0]) == len(table)


KEYS = st.lists(
    st.lists(st.sampled_from([0, 1, 97, 255]), min_size=1, max_size=24).map(bytes)
    | st.lists(st.sampled_from([b"a" * 7, b"b" * 7, b"a", b"z"]), min_size=1, max_size=4).map(
        b"".join  # alike for whole windows, in different runs
    )
    | st.binary(min_size=1, max_size=9),
    max_size=60,
)


@given(KEYS, st.sampled_from([b"", b"0123456", b"a prefix of 16 B"]))
def test_the_order_is_that_of_sorted(keys: list[bytes], prefix: bytes) -> None:
    keys = [prefix + key for key in keys]
    assert in_order(keys) == sorted(keys)
    distinct = [*dict.fromkeys(keys)]
    entries = [(key, TOMBSTONE if key[-1] == 97 else key[::-1]) for key in distinct]
    columns = sorted_columns(distinct, [value for _, value in entries])
    assert [*columns.items()] == sorted(entries)


@given(KEYS)
def test_kernels_and_their_twins(keys: list[bytes]) -> None:
    columns = Columns.of((key, b"") for key in keys)
    data, starts = kernels.read_only(columns.keys), kernels.read_only(columns.key_starts)
    expected = sorted(range(len(keys)), key=keys.__getitem__)
    for form in (kernels, twins(kernels)):
        order = form.key_order(data, starts)
        assert order.tolist() == expected  # equal keys in the order in which they came
        out = np.zeros(len(data), np.uint8)
        form.gather(data, starts, order, out)
        assert out.tobytes() == b"".join(sorted(keys))
        assert form.inside(starts, len(data))
        assert not form.inside(starts, len(data) - 1)
        for bad in ([], [0, 5, 4], [-1, 0], [2**62, -(2**62)]):
            assert not form.inside(np.array(bad, np.int64), 100)


def test_runs_of_alike_keys_stay_apart() -> None:
    a, b, c = (letter * 7 for letter in (b"a", b"b", b"c"))
    keys = [a + c + b"z", a + b"0" * 7 + b"x", b + c + b"a", b + b"d" * 7 + b"x"]
    assert in_order(keys) == sorted(keys)


def test_long_keys_that_are_alike_for_long() -> None:
    keys = [bytes(60_000) + bytes([i % 7]) * i for i in range(20)]
    random.Random(3).shuffle(keys)
    assert in_order(keys) == sorted(keys)


def test_a_frozen_table_is_read_like_any_other() -> None:
    table = MemTable()
    for i in range(0, 2000, 2):
        table.put(norad_key(i), b"%d" % i)
    before = table.items()
    table.freeze()
    assert table.items() == before
    assert table.items(norad_key(10), norad_key(15)) == before[5:8]
    assert table.items(norad_key(10), norad_key(14)) == before[5:8]
    assert table.items(norad_key(11), norad_key(11)) == []
    assert table.items(norad_key(15), norad_key(10)) == []
    assert [*islice(table.columns(norad_key(10)).items(), 3)] == before[5:8]
    assert table.get(norad_key(4)) == b"4"
