"""Contract checks of what holds pages: the buffer pool and the heap file."""

from __future__ import annotations

import os
import random
import reprlib
from pathlib import Path
from typing import Any

from meridian.testing.storage.format import PAGE_SIZE, decode_page, page_crc
from meridian.testing.storage.page_checks import must_raise
from meridian.testing.storage.policies import PolicyModel

__all__ = ["check_buffer_pool", "check_page_manager"]

StrPath = str | os.PathLike[str]


def check_buffer_pool(
    api: Any, folder: StrPath, policies: tuple[str, ...] = ("lru", "clock")
) -> None:
    """Hits, victims, pins, write-back, failed loads: against the model, access by access."""
    for policy in policies:
        path = Path(folder) / f"check-pool-{policy}.oor"
        with api.PageFile(path) as file:
            for _ in range(40):
                file.allocate_page()
            _check_trace(api.BufferPool(file, 8, policy), policy)
        with api.PageFile(path) as file:
            _check_pins(api.BufferPool(file, 8, policy))
            _check_failed_load(api.BufferPool(file, 2, policy), path)


def _check_trace(pool: Any, policy: str) -> None:
    """1,500 fetches; up to 6 of the 8 frames stay pinned for a while, others are changed."""
    rng = random.Random(policy)
    model = PolicyModel(policy, 8)
    held: dict[int, Any] = {}
    written: dict[int, bytes] = {}
    hits = misses = 0
    for step in range(1500):
        page_id = min(1 + int(rng.expovariate(0.12)), 40)
        before = pool.stats.hits
        pinned = pool.fetch(page_id)
        outcome = model.access(page_id, held)
        hits, misses = hits + outcome.hit, misses + (not outcome.hit)
        got = pool.stats.hits - before == 1
        assert got is outcome.hit, (
            f"{policy}, step {step}: fetch({page_id}) was a {'hit' if got else 'miss'}, "
            f"resident were {[p for p in model.pages if p]}"
        )
        body = bytes(pinned.data[100:108])
        assert body == written.get(page_id, bytes(8)), f"{policy}: a change to {page_id} is lost"
        if rng.random() < 0.3:
            written[page_id] = step.to_bytes(8, "little")
            pinned.data_mut()[100:108] = written[page_id]
        if page_id not in held and len(held) < 6 and rng.random() < 0.2:
            held[page_id] = pinned
        else:
            pinned.unpin()
        if held and rng.random() < 0.2:
            held.pop(rng.choice(list(held))).unpin()
    stats = pool.stats
    assert (stats.hits, stats.misses) == (hits, misses), "stats do not add up to the fetches"
    for pinned in held.values():
        pinned.unpin()
    pool.flush_all()


def _check_pins(pool: Any) -> None:
    for page_id in (9, 10, 11):
        try:
            with pool.fetch(page_id):
                raise KeyError
        except KeyError:
            continue
    held = [pool.fetch(page_id) for page_id in range(1, 9)]
    must_raise("PoolExhausted", "fetch(9) with all 8 frames pinned", pool.fetch, 9)
    with pool.fetch(3) as again:
        assert again.page_id == 3, "a pinned page cannot be fetched a second time"
    data = held[0].data
    for pinned in held:
        pinned.unpin()
    must_raise("PinError", "unpin() for the second time", held[0].unpin)
    must_raise("ValueError", "reading a view after unpin()", bytes, data)
    with pool.fetch(9) as pinned:
        assert pinned.page_id == 9, "fetch(9) after unpinning"


def _check_failed_load(pool: Any, path: Path) -> None:
    """The victim of a load that fails is on disk, and the frame can be used again."""
    with pool.fetch(1) as pinned:
        pinned.data_mut()[200:204] = b"kept"
    with pool.fetch(2):
        pass
    with open(path, "r+b") as file:
        file.seek(30 * PAGE_SIZE + 99)
        file.write(b"\1")
        file.flush()
        for _ in range(3):
            must_raise("ChecksumMismatch", "fetch(30), damaged on disk", pool.fetch, 30)
        file.seek(30 * PAGE_SIZE + 99)
        file.write(b"\0")
    with pool.fetch(30) as first, pool.fetch(1) as second:
        assert first.page_id == 30, "fetch(30) after the damage was repaired"
        assert bytes(second.data[200:204]) == b"kept", "the victim of a failed load lost its change"
    pool.flush_all()
    raw = path.read_bytes()
    for page_id in range(1, len(raw) // PAGE_SIZE):
        page = raw[page_id * PAGE_SIZE : (page_id + 1) * PAGE_SIZE]
        found = decode_page(page)
        assert found.checksum == page_crc(page), f"page {page_id} was written with a stale checksum"
        assert found.page_id == page_id, f"page {found.page_id} was written in place of {page_id}"


def check_page_manager(api: Any, folder: StrPath) -> None:
    """A heap file against a dict through random operations, compactions and reopenings."""
    path = Path(folder) / "check-manager.oor"
    rng = random.Random(4)
    expected: dict[tuple[int, int], bytes] = {}
    gone: set[tuple[int, int]] = set()
    for _ in range(4):
        manager = api.PageManager(path, frames=8)
        for step in range(400):
            action = rng.random()
            if action < 0.6 or not expected:
                record = rng.randbytes(rng.choice((0, 8, 82, 82, 140, 1000)))
                rid = manager.insert(record)
                key = (rid.page_id, rid.slot)
                assert key not in expected, f"insert() gives {key}, which holds a record"
                expected[key] = record
                gone.discard(key)
            elif action < 0.9:
                key = rng.choice(list(expected))
                assert manager.delete(api.RecordId(*key)) is True, f"delete({key}) is not True"
                assert manager.delete(api.RecordId(*key)) is False, f"second delete({key})"
                gone.add(key)
                del expected[key]
            elif action < 0.95:
                manager.compact(rng.choice(list(expected))[0])
            if step % 50 == 0:
                _compare(api, manager, expected, gone)
        _compare(api, manager, expected, gone)
        for page_id in {key[0] for key in expected}:
            info = manager.page_info(page_id)
            live = [len(record) for key, record in expected.items() if key[0] == page_id]
            free = PAGE_SIZE - 17 - 4 * info.slot_count - sum(live)
            assert (info.live_count, info.free_total) == (len(live), free), (
                f"page_info({page_id}) says {info.live_count} records and {info.free_total} bytes, "
                f"there are {len(live)} and {free}"
            )
        manager.close()
        manager.close()
    _check_kept_slots(api, Path(folder) / "check-kept.oor")


def _compare(api: Any, manager: Any, expected: dict[Any, bytes], gone: set[Any]) -> None:
    for key, record in expected.items():
        found = manager.get(api.RecordId(*key))
        assert found == record, (
            f"get({key}) gives {reprlib.repr(found)}, not {reprlib.repr(record)}"
        )
    for key in gone:
        assert manager.get(api.RecordId(*key)) is None, f"get({key}) after delete is not None"


def _check_kept_slots(api: Any, path: Path) -> None:
    """Without slot reuse, an id that was deleted stays deleted."""
    manager = api.PageManager(path, reuse_slots=False)
    old = [manager.insert(bytes(82)) for _ in range(20)]
    for rid in old:
        manager.delete(rid)
    new = [manager.insert(bytes(82)) for _ in range(60)]
    taken = {tuple(rid) for rid in old} & {tuple(rid) for rid in new}
    assert not taken, f"reuse_slots=False gave the deleted ids {sorted(taken)} to new records"
    assert all(manager.get(rid) is None for rid in old), "a deleted id answers"
    manager.close()
