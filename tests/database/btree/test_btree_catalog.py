"""The catalogue: heap and index in step, through faults, threads and crashes."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.btree import IndexNeedsRebuild, KeyRange, TleIndex, TreeCorrupt
from meridian.database.storage import (
    TLE_DTYPE,
    ChecksumMismatch,
    FileLocked,
    PageFile,
    RecordId,
    StorageClosed,
    TleRecord,
)
from meridian.orbital.catalog import synthetic_catalog
from meridian.orbital.tle import ElementOutOfRange, array_to_records, records_to_array
from meridian.testing import FaultyFileSystem

CATALOG = synthetic_catalog(3_000, seed=4)
RECORDS = array_to_records(CATALOG)


def revised(record: TleRecord, revision: int) -> TleRecord:
    """The same object, `revision` days and element sets later."""
    return TleRecord(*record.elements()[:2], record.epoch + revision, *record.elements()[3:10],
                     abs(revision), record.rev_number)  # fmt: skip


def by_id(rows: np.ndarray) -> dict[int, TleRecord]:
    return {record.norad_id: record for record in array_to_records(rows)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.oor"


# -- one and many ----------------------------------------------------------------------------------


OPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "delete", "put_many", "get_many", "range", "reopen", "vacuum"]),
        st.integers(0, 2**32),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(ops=OPS, frames=st.sampled_from([8, 64]), loaded=st.integers(0, 200))
def test_any_operations(
    tmp_path_factory: pytest.TempPathFactory, ops: list[tuple[str, int]], frames: int, loaded: int
) -> None:
    path = tmp_path_factory.mktemp("any") / "catalog.oor"
    index = TleIndex.open(path, frames=frames, page_size=512)
    index.bulk_load(CATALOG[:loaded])
    model = by_id(CATALOG[:loaded])
    pool = RECORDS[:300]
    for op, seed in ops:
        rng = random.Random(seed)
        if op == "put":
            record = revised(rng.choice(pool), rng.randrange(9))
            place = index.put(record)
            model[record.norad_id] = record
            assert TleRecord.unpack(index.heap.get(place) or b"") == record
        elif op == "delete":
            key = rng.choice(pool).norad_id
            assert index.delete(key) == (model.pop(key, None) is not None)
        elif op == "put_many":
            some = [revised(record, rng.randrange(9)) for record in rng.choices(pool, k=60)]
            before = len(model)
            model.update((record.norad_id, record) for record in some)
            assert index.put_many(records_to_array(some)) == len(model) - before
        elif op == "get_many":
            keys = np.array([record.norad_id for record in rng.choices(pool, k=80)])
            rows, found = index.get_many(keys)
            assert found.tolist() == [key in model for key in keys.tolist()]
            assert by_id(rows[found]) == {k: model[k] for k in keys.tolist() if k in model}
            assert not rows[~found].tobytes().strip(b"\0")
        elif op == "range":
            lo, hi = sorted(rng.choice(pool).norad_id for _ in range(2))
            rows = index.range(lo, hi)
            assert rows["norad_id"].tolist() == sorted(k for k in model if lo <= k <= hi)
            assert by_id(rows) == {k: v for k, v in model.items() if lo <= k <= hi}
        elif op == "vacuum":
            index.tree.vacuum()
        else:
            index.close()
            index = TleIndex.open(path, frames=frames, page_size=512)
        assert len(index) == len(model)
    assert {key: index.get(key) for key in model} == model
    assert list(index) == sorted(model)
    assert len(list(index.heap.iter_records())) == len(model)  # no record without a name
    index.tree.check()
    index.close()


def test_bulk_load_takes_the_newest(path: Path) -> None:
    old, new = RECORDS[0], revised(RECORDS[0], 5)
    last = TleRecord(*new.elements()[:-1], 77)  # the same epoch
    rows = records_to_array([RECORDS[2], new, last, old, RECORDS[1]])
    with TleIndex.open(path) as index:
        assert index.bulk_load(rows[:0]) == 0
        assert index.bulk_load(rows) == 3
        assert index.get(old.norad_id) == last
        assert index.range()["norad_id"].tolist() == sorted(r.norad_id for r in RECORDS[:3])
        with pytest.raises(ValueError, match="3 objects: use put_many"):
            index.bulk_load(rows)
        # `put` and `put_many` obey: what comes last is what is wanted.
        assert index.put_many(rows) == 0
        assert index.get(old.norad_id) == old
        index.put(new)
        assert index.get(old.norad_id) == new
        assert new.norad_id in index
        assert index.delete(new.norad_id) is True
        assert index.delete(new.norad_id) is False
        assert index.get(new.norad_id) is None
        assert new.norad_id not in index


@pytest.mark.parametrize("bad", [-1, 2**32, True, 1.5, "25544", None], ids=repr)
def test_what_is_no_id(path: Path, bad: Any) -> None:
    with TleIndex.open(path) as index:
        for call in (index.get, index.delete, index.range, index.__contains__):
            with pytest.raises(KeyRange):
                call(bad)


def test_what_is_no_record(path: Path) -> None:
    with TleIndex.open(path) as index:
        with pytest.raises(TypeError):
            index.put(RECORDS[0].pack())  # type: ignore[arg-type]
        with pytest.raises(ElementOutOfRange):
            index.put(TleRecord(-1, *RECORDS[0].elements()[1:]))
        for call in (index.put_many, index.bulk_load):
            with pytest.raises(TypeError, match="TLE_DTYPE"):
                call(np.zeros(3))
            with pytest.raises(TypeError, match="TLE_DTYPE"):
                call([RECORDS[0]])  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="flat"):
                call(np.zeros((2, 2), TLE_DTYPE))
            wrong = CATALOG[:3].copy()
            wrong["eccentricity"][1] = np.nan
            with pytest.raises(ElementOutOfRange):
                call(wrong)
        assert len(index) == 0
        rows, found = index.get_many(np.array([], np.int64))
        assert (rows.dtype, rows.size, found.size) == (TLE_DTYPE, 0, 0)
        assert index.put_many(CATALOG[:0]) == 0
    with pytest.raises(StorageClosed):
        index.get(5)
    with pytest.raises(StorageClosed):
        index.put(RECORDS[0])
    index.close()
    with pytest.raises(ValueError, match="recover"):
        TleIndex.open(path, recover="never")


def test_strided_and_foreign_forms(path: Path) -> None:
    with TleIndex.open(path) as index:
        index.bulk_load(CATALOG[::-3])
        keys = CATALOG["norad_id"][::-3].astype(">i8")
        rows, found = index.get_many(keys)
        assert found.all()
        assert (rows == CATALOG[::-3]).all()


# -- faults ----------------------------------------------------------------------------------------


def test_a_fault_leaves_old_or_new(path: Path) -> None:
    """Whatever fails in a batch: each id has one record, its old or its new one."""
    old, new = CATALOG[:150], records_to_array([revised(r, 3) for r in RECORDS[75:220]])
    before, after = by_id(old), by_id(new)
    struck = 0
    for call in ("pwritev", "preadv"):
        for nth in range(1, 200):
            path.unlink(missing_ok=True)
            faults = FaultyFileSystem()
            index = TleIndex.open(path, frames=8, page_size=512, fs=faults)
            index.bulk_load(old)
            faults.fail(call, nth, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            try:
                index.put_many(new)
            except OSError:
                struck += 1
            through = bool(faults.pending)
            faults.heal()
            found = by_id(index.range())
            for key, record in found.items():
                assert record in (before.get(key), after.get(key))
            assert before.keys() <= found.keys()
            assert len(found) == len(index)
            index.tree.check()
            index.put_many(new)  # which also deletes what the fault left
            assert by_id(index.range()) == before | after
            assert len(list(index.heap.iter_records())) == len(index)
            index.close()
            if through:
                break
    assert struck > 10


def test_a_fault_in_a_single_change(path: Path) -> None:
    for op in ("put", "delete", "bulk_load"):
        for call in ("pwritev", "preadv"):
            for nth in range(1, 12):
                path.unlink(missing_ok=True)
                faults = FaultyFileSystem()
                index = TleIndex.open(path, frames=8, page_size=512, fs=faults)
                if op != "bulk_load":
                    index.bulk_load(CATALOG[:120])
                before = by_id(index.range())
                index.flush()
                faults.fail(call, nth)
                try:
                    if op == "put":
                        index.put(RECORDS[130])
                    elif op == "delete":
                        index.delete(RECORDS[60].norad_id)
                    else:
                        index.bulk_load(CATALOG[:120])
                except OSError:
                    faults.heal()
                    assert by_id(index.range()) == before
                    assert len(list(index.heap.iter_records())) == len(before)
                faults.heal()
                index.tree.check()
                index.close()


# -- sessions that did not end well ----------------------------------------------------------------


def unclosed(path: Path, change: Callable[[TleIndex], None], **options: Any) -> None:
    """Leave at `path` what a process leaves that is killed after `change`."""
    index = TleIndex.open(path, **options)
    change(index)
    index.flush(sync=True)
    image = path.read_bytes()
    index.close()
    path.write_bytes(image)


def test_not_closed_cleanly(path: Path) -> None:
    unclosed(path, lambda index: index.bulk_load(CATALOG) and None)
    image = path.read_bytes()
    for _ in range(2):
        with pytest.raises(IndexNeedsRebuild):
            TleIndex.open(path)
        assert path.read_bytes() == image  # asking does not make it clean
    with TleIndex.open(path, recover="rebuild") as index:
        pages = index.heap.file.page_count
        assert index.lost_pages == ()
        assert (index.range() == np.sort(CATALOG, order="norad_id")).all()
        assert index.tree.check(strict=True).count == len(CATALOG)
        # The old index's pages are free, or used again: nothing has grown.
        assert pages * 4096 == len(image)
    with TleIndex.open(path) as index:
        assert len(index) == len(CATALOG)


def test_a_clean_file_needs_no_rebuild(path: Path) -> None:
    with TleIndex.open(path, recover="rebuild") as index:
        index.bulk_load(CATALOG[:100])
        with pytest.raises(FileLocked):
            TleIndex.open(path)
    for recover in ("raise", "rebuild"):
        with TleIndex.open(path, recover=recover) as index:
            before = index.heap.file.statistics()
            assert len(index) == 100
            assert before.writes == 0


def test_two_records_of_one_object(path: Path) -> None:
    """As a crash leaves them between two steps of an update: the newer stays, for good."""

    def change(index: TleIndex) -> None:
        index.bulk_load(CATALOG[:50])
        index.heap.insert(revised(RECORDS[3], 2).pack())
        index.heap.insert(revised(RECORDS[4], -2).pack())
        index.heap.insert(b"not an element set")

    unclosed(path, change)
    for _ in range(2):
        with TleIndex.open(path, recover="rebuild") as index:
            assert len(index) == 50
            assert index.get(RECORDS[3].norad_id) == revised(RECORDS[3], 2)
            assert index.get(RECORDS[4].norad_id) == RECORDS[4]
            assert len(list(index.heap.iter_records())) == 51
            index.flush(sync=True)
            image = path.read_bytes()
        path.write_bytes(image)


@pytest.mark.parametrize("clean", [False, True])
def test_pages_that_cannot_be_read(path: Path, clean: bool) -> None:
    """Their records are lost, and told; all others are found again. So after damage at rest."""
    unclosed(path, lambda index: index.bulk_load(CATALOG) and None)
    with TleIndex.open(path, recover="rebuild") as index:
        per_page = 4_079 // 86
        data = index.heap.get(RecordId(5, 0))
        leaf = index.tree.root
        assert data is not None
        index.flush(sync=True)
        image = bytearray(path.read_bytes())
    image = bytearray(path.read_bytes()) if clean else image
    for page_id in (5, leaf):
        image[page_id * 4096 + 1000] ^= 0x10
    path.write_bytes(image)
    with TleIndex.open(path, recover="rebuild") as index:
        assert index.lost_pages == tuple(sorted((5, leaf)))
        assert len(index) == len(CATALOG) - per_page
        assert index.get(int.from_bytes(data[:4], "little")) is None
        found = by_id(index.range())
        assert found == {k: v for k, v in by_id(CATALOG).items() if k in found}
        lost = [record for record in RECORDS if record.norad_id not in found]
        assert index.put_many(records_to_array(lost)) == per_page
        assert by_id(index.range()) == by_id(CATALOG)
        index.tree.check()


def test_a_damaged_slot_directory_loses_only_what_it_names(path: Path) -> None:
    from meridian.database.storage import seal

    unclosed(path, lambda index: index.bulk_load(CATALOG[:200]) and None)
    image = bytearray(path.read_bytes())
    page = memoryview(image)[4096:8192]
    page[17 + 4 * 3 : 17 + 4 * 3 + 2] = (4090).to_bytes(2, "little")  # beyond the page's end
    seal(page)
    page.release()
    path.write_bytes(image)
    with TleIndex.open(path, recover="rebuild") as index:
        assert index.lost_pages == (1,)
        assert len(index) == 199


def test_a_rebuild_that_fails_can_be_tried_again(path: Path) -> None:
    unclosed(path, lambda index: index.bulk_load(CATALOG[:400]) and None, page_size=512)
    image, struck = path.read_bytes(), 0
    for call in ("pwritev", "preadv"):
        for nth in (1, 2, 3, 5, 9, 17, 33):
            faults = FaultyFileSystem()
            faults.fail(call, nth)
            try:
                index = TleIndex.open(path, recover="rebuild", frames=8, page_size=512, fs=faults)
            except OSError:
                struck += 1
                with pytest.raises(IndexNeedsRebuild):
                    TleIndex.open(path, page_size=512)
            else:
                faults.heal()
                index.close()
                path.write_bytes(image)
    assert struck > 8
    with TleIndex.open(path, recover="rebuild", page_size=512) as index:
        assert by_id(index.range()) == by_id(CATALOG[:400])


def test_an_index_that_misleads(path: Path) -> None:
    with TleIndex.open(path) as index:
        index.bulk_load(CATALOG[:20])
        one, other = RECORDS[3].norad_id, RECORDS[4].norad_id
        index.tree.upsert(one, index.tree.get(other) or RecordId(0, 0))
        for call in (
            lambda: index.get(one),
            lambda: index.get_many(np.array([other, one])),
            lambda: index.range(),
        ):
            with pytest.raises(TreeCorrupt, match=f"for object {one}"):
                call()
        # The record of the other one is not touched when the entry is set right.
        index.put(RECORDS[3])
        assert index.get(other) == RECORDS[4]
        assert index.get(one) == RECORDS[3]
        index.tree.upsert(one, RecordId(1, 40))
        assert index.delete(one) is True
        assert index.get(one) is None


def test_a_damaged_record_page(path: Path) -> None:
    with TleIndex.open(path) as index:
        index.bulk_load(CATALOG[:200])
        victim = next(r for r in RECORDS[:200] if index.tree.get(r.norad_id) == RecordId(2, 0))
    image = bytearray(path.read_bytes())
    image[2 * 4096 + 2000] ^= 1
    path.write_bytes(image)
    with TleIndex.open(path) as index:
        assert index.lost_pages == (2,)
        with pytest.raises(ChecksumMismatch):
            index.get(victim.norad_id)
        assert index.get(RECORDS[0].norad_id) == RECORDS[0] or victim == RECORDS[0]
        place = index.put(victim)  # the record moves to a page that can be read
        assert place.page_id != 2
        assert index.get(victim.norad_id) == victim


# -- threads and processes -------------------------------------------------------------------------


def test_readers_never_get_another_objects_record(path: Path) -> None:
    """Slots are used again at once, by other objects: the hole that ids of places have (ABA)."""
    index = TleIndex.open(path, frames=16, page_size=512)
    index.bulk_load(CATALOG[:60])
    stop, wrong = threading.Event(), []

    def read(seed: int) -> None:
        rng = random.Random(seed)
        try:
            while not stop.is_set():
                key = rng.choice(RECORDS[:120]).norad_id
                record = index.get(key)
                if record is not None and record.norad_id != key:
                    wrong.append((key, record))
                rows = index.range(key, key + 1000)
                if (np.diff(rows["norad_id"].astype(np.int64)) <= 0).any():
                    wrong.append((key, rows))
                keys = np.array([r.norad_id for r in rng.choices(RECORDS[:120], k=10)])
                rows, found = index.get_many(keys)
                if (rows["norad_id"][found] != keys[found]).any():
                    wrong.append((key, rows))
        except BaseException as error:
            wrong.append((seed, error))

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for reader in readers:
        reader.start()
    rng = random.Random(9)
    try:
        for _ in range(600):
            record = rng.choice(RECORDS[:120])
            if rng.random() < 0.5:
                index.delete(record.norad_id)
            else:
                index.put(revised(record, rng.randrange(5)))
            if rng.random() < 0.05:
                index.put_many(CATALOG[rng.randrange(60) :][:60])
    finally:
        stop.set()
        for reader in readers:
            reader.join(60)
    assert wrong == []
    index.tree.check()
    assert len(list(index.heap.iter_records())) == len(index)
    index.close()


CHILD = """
import random, sys
from meridian.database.btree import TleIndex
from meridian.orbital.catalog import synthetic_catalog
from meridian.orbital.tle import array_to_records
catalog = synthetic_catalog(600, seed=4)
records = array_to_records(catalog)
index = TleIndex.open(sys.argv[1], frames=8, page_size=512)
index.bulk_load(catalog[:400])
index.flush(sync=True)
print("ready", flush=True)
rng = random.Random(int(sys.argv[2]))
while True:
    record = rng.choice(records)
    if rng.random() < 0.4:
        index.delete(record.norad_id)
    else:
        index.put(record)
    if rng.random() < 0.05:
        index.put_many(catalog[rng.randrange(500):][:40])
"""


@pytest.mark.parametrize(
    "point",
    [
        "catalog.put.stored:20:kill",
        "catalog.delete.unlinked:40:kill",
        "catalog.put_many.stored:3:kill",
    ],
)
def test_killed_between_two_steps(path: Path, point: str) -> None:
    """SIGKILL at each point of the order: every record is whole, under its id, and once."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), "7"],
        env={**os.environ, "MERIDIAN_FAILPOINT": point},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert done.stdout == b"ready\n"
    with pytest.raises(IndexNeedsRebuild):
        TleIndex.open(path, page_size=512)
    known = by_id(CATALOG[:600])
    with TleIndex.open(path, recover="rebuild", page_size=512) as index:
        assert index.lost_pages == ()
        found = by_id(index.range())
        assert found.items() <= known.items()
        assert len(found) > 200
        assert len(list(index.heap.iter_records())) == len(found) == len(index)
        index.tree.check(strict=True)
        index.put_many(CATALOG[:600])
        assert by_id(index.range()) == known
    with PageFile(path, 512) as file:
        assert file.was_clean
