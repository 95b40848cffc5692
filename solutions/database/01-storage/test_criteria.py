"""One test per criterion, to check yourself: `uv run pytest test_criteria.py -k criterion_1`.

They are a part of what the grader looks at, with small numbers; it adds random data, a fresh
process, and files that it reads and damages itself. Each message says what was called and what
must come back. Work from criterion 1 upwards: the later ones stand on the earlier ones.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import tle_page_manager as tpm

PAGE = 4096


def filled_page(page_id: int, byte: int) -> bytearray:
    """A DATA page whose body is one byte, repeated. Not sealed."""
    return bytearray(tpm.PageHeader(page_id, tpm.PageType.DATA, 0, PAGE).pack()) + bytes([byte]) * (
        PAGE - 17
    )


def raises(name: str, function: Callable[..., Any], *arguments: Any) -> Exception:
    """What `function` raises, which must be the class `name` of the package."""
    with pytest.raises(getattr(tpm, name)) as caught:
        function(*arguments)
    return caught.value


def test_criterion_1_pages_lie_at_their_offset(tmp_path: Path) -> None:
    path = tmp_path / "pages.oor"
    file = tpm.PageFile(path)
    ids = [file.allocate_page() for _ in range(4)]
    assert ids == [1, 2, 3, 4], "page 0 is the file's header, so the first new pages are 1, 2, 3, 4"
    for page_id in (3, 1, 4, 2):
        file.write_page(page_id, memoryview(filled_page(page_id, 16 * page_id)))
    into = bytearray(PAGE)
    raises("PageOutOfRange", file.read_page, 5, memoryview(into))
    raises("PageOutOfRange", file.read_page, -1, memoryview(into))
    file.free_page(2)
    file.close()
    raw = path.read_bytes()
    for page_id in (1, 3, 4):
        body = raw[page_id * PAGE + 17 : (page_id + 1) * PAGE]
        assert body == bytes([16 * page_id]) * (PAGE - 17), f"page {page_id} is not at its offset"
    file = tpm.PageFile(path)
    file.read_page(3, memoryview(into))
    assert into == raw[3 * PAGE : 4 * PAGE], "read_page(3) gives other bytes than the file has"
    assert file.allocate_page() == 2, "the freed page 2 comes back before the file grows"
    file.close()
    path.write_bytes(path.read_bytes()[:-1])
    raises("TruncatedFile", tpm.PageFile, path)


def test_criterion_2_every_flipped_bit_is_caught(tmp_path: Path) -> None:
    header = tpm.PageHeader(7, tpm.PageType.DATA, 0, PAGE)
    page = bytearray(header.pack().ljust(PAGE, b"\0"))
    assert page[:17].hex() == "4f4f523107000000010000001000000000", "the 17 bytes of this header"
    assert tpm.page_checksum(page) == 0xA006F748, "CRC-32 of bytes 0..12, continued over 17..4095"
    path = tmp_path / "flip.oor"
    file = tpm.PageFile(path)
    file.allocate_page(), file.allocate_page()
    pool = tpm.BufferPool(file, 4)
    with open(path, "r+b") as disk:
        for at in (0, 4, 8, 9, 12, 13, 17, 2048, PAGE - 1):
            byte = path.read_bytes()[PAGE + at]
            disk.seek(PAGE + at)
            disk.write(bytes([byte ^ 1]))
            disk.flush()
            raises("CorruptPage", pool.fetch, 1)
            disk.seek(PAGE + at)
            disk.write(bytes([byte]))
            disk.flush()
        one, two = (path.read_bytes()[i * PAGE : (i + 1) * PAGE] for i in (1, 2))
        disk.seek(PAGE)
        disk.write(two + one)
        disk.flush()
        raises("MisdirectedPage", pool.fetch, 1)
    file.close()


@pytest.mark.parametrize(
    ("policy", "trace", "hits"),
    [
        # 3 frames. LRU: 4 evicts 2, 2 evicts 3. CLOCK: 4 finds every bit set, so it evicts 1.
        ("lru", (1, 2, 3, 1, 4, 1, 2), (0, 0, 0, 1, 0, 1, 0)),
        ("clock", (1, 2, 3, 1, 4, 1, 2), (0, 0, 0, 1, 0, 0, 0)),
        ("clock", (1, 2, 3, 4, 2, 5, 2), (0, 0, 0, 0, 1, 0, 1)),
    ],
)
def test_criterion_3_the_policy_exactly(
    tmp_path: Path, policy: str, trace: tuple[int, ...], hits: tuple[int, ...]
) -> None:
    file = tpm.PageFile(tmp_path / "trace.oor")
    for _ in range(5):
        file.allocate_page()
    pool = tpm.BufferPool(file, 3, policy)
    seen = []
    for page_id in trace:
        before = pool.stats.hits
        with pool.fetch(page_id):
            seen.append(pool.stats.hits - before)
    assert tuple(seen) == hits, f"{policy}, 3 frames, fetching {trace}: which of them hit"
    file.close()


def test_criterion_3_pins_and_dirty_pages(tmp_path: Path) -> None:
    file = tpm.PageFile(tmp_path / "pins.oor")
    for _ in range(6):
        file.allocate_page()
    pool = tpm.BufferPool(file, 2)
    with pool.fetch(1) as page:
        page.data_mut()[100:104] = b"kept"
    for page_id in (2, 3, 4):
        with pool.fetch(page_id):
            pass
    with pool.fetch(1) as page:
        assert bytes(page.data[100:104]) == b"kept", "page 1 was evicted dirty: write it back first"
    for _ in range(3):
        with pytest.raises(KeyError), pool.fetch(5):
            raise KeyError
    with pool.fetch(5), pool.fetch(6):
        raises("PoolExhausted", pool.fetch, 1)
    file.close()


def test_criterion_4_forty_records_in_a_page(tmp_path: Path) -> None:
    records = tpm.catalog(40)
    raw = [record.pack() for record in records]
    assert {len(record) for record in raw} == {82}, "TleRecord.pack() gives 82 bytes"
    assert [tpm.TleRecord.unpack(record) for record in raw] == records
    page = tpm.SlottedPage.format(bytearray(PAGE), 3)
    assert [page.insert(record) for record in raw] == list(range(40)), "slots in order"
    assert [bytes(page.get(slot)) for slot in range(40)] == raw
    assert page.get(40) is None, "slot 40 never was"
    assert page.get(-1) is None, "a negative slot is no slot, not the last one"
    path = tmp_path / "forty.oor"
    manager = tpm.PageManager(path)
    rids = [manager.insert(record) for record in raw]
    manager.close()
    manager = tpm.PageManager(path)
    assert [manager.get(rid) for rid in rids] == raw, "the records after reopening"
    manager.close()


def test_criterion_5_compaction_keeps_slot_ids() -> None:
    raw = [record.pack() for record in tpm.catalog(40)]
    page = tpm.SlottedPage.format(bytearray(PAGE), 3)
    for record in raw:
        page.insert(record)
    assert all(page.delete(slot) for slot in range(0, 40, 2))
    assert page.delete(0) is False, "slot 0 is deleted already"
    before = page.free_contiguous
    assert page.compact() == 20 * 82, "20 records of 82 bytes became free"
    assert page.free_contiguous == before + 20 * 82 == page.free_total
    for slot in range(40):
        found = page.get(slot)
        assert found is None if slot % 2 == 0 else found == raw[slot], (
            f"slot {slot} after compact()"
        )
    assert page.insert(raw[0]) == 0, "the lowest deleted slot is used again"


def test_criterion_6_a_full_page_refuses() -> None:
    raw = [record.pack() for record in tpm.catalog(48)]
    buf = bytearray(PAGE)
    page = tpm.SlottedPage.format(buf, 3)
    assert [page.insert(record) for record in raw[:47]] == list(range(47)), "47 records fit"
    before = bytes(buf)
    assert page.insert(raw[47]) is None, "the 48th does not: 48 * (82 + 4) > 4079"
    assert buf == before, "a refused insert changes no byte"
    page.delete(5)
    page.compact()
    exact = bytes(page.free_total)
    assert page.insert(exact) == 5, "a reused slot costs no directory space"


def test_criterion_7_the_same_run_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = tpm.run_acceptance(tmp_path / "one.oor")
    printed = capsys.readouterr().out
    again = tpm.run_acceptance(tmp_path / "two.oor")
    assert first == again, "two runs count the same"
    assert list(first) == ["inserted", "read", "deleted", "hits", "misses"]
    assert capsys.readouterr().out == printed, "two runs print the same"
    assert "200" in printed, "the counts are printed"


def test_criterion_8_a_hit_costs_the_same_in_a_large_pool(tmp_path: Path) -> None:
    """`meridian bench` runs the race against sqlite3; this only looks for work per frame."""
    seconds = {}
    for frames in (64, 4096):
        manager = tpm.PageManager(tmp_path / f"{frames}.oor", frames=frames, policy="lru")
        rids = [manager.insert(bytes(4000)) for _ in range(frames - 8)]
        hot = rids[:: len(rids) // 40] * 25
        best = 1e9
        for _ in range(7):
            start = time.perf_counter()
            for rid in hot:
                manager.get(rid)
            best = min(best, (time.perf_counter() - start) / len(hot))
        seconds[frames] = best
        manager.close()
    ratio = seconds[4096] / seconds[64]
    assert ratio < 3, (
        f"a get that hits takes {ratio:.1f} times as long with 4,096 frames as with 64"
    )
