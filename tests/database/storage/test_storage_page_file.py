"""Page files: offsets, ranges, the free list, what a crash or a broken disk leaves behind."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meridian.database.storage as api
from meridian.database.storage import (
    BadFormat,
    BadMagic,
    ChecksumMismatch,
    CorruptPage,
    FileLocked,
    MisdirectedPage,
    PageFile,
    PageOutOfRange,
    PageType,
    StorageClosed,
    TruncatedFile,
    seal,
)
from meridian.testing import FaultyFileSystem
from meridian.testing.storage import check_page_file, decode_file_header, decode_page, encode_page
from tests.database.storage.support import sealed_page

MakeFile = Callable[..., PageFile]


def test_the_contract(tmp_path: Path) -> None:
    check_page_file(api, tmp_path)


def test_a_page_is_where_its_number_says(make_file: MakeFile, path: Path) -> None:
    file = make_file(50)
    page = sealed_page(33, b"thirty-three")
    file.write_page(33, memoryview(page))
    assert path.read_bytes()[33 * 4096 : 34 * 4096] == page
    into = bytearray(4096)
    file.read_page(33, memoryview(into))
    assert into == page


@pytest.mark.parametrize("page_size", [512, 8192, 32768])
def test_other_page_sizes(path: Path, page_size: int) -> None:
    with PageFile(path, page_size) as file:
        page_id = file.allocate_page(PageType.INDEX)
        assert os.path.getsize(path) == 2 * page_size
    found = decode_page(path.read_bytes()[page_size:])
    assert (found.page_id, found.page_type, found.free_space_offset) == (page_id, 2, page_size)
    with pytest.raises(BadFormat, match=f"page_size={page_size}") as caught:
        PageFile(path, 4096)
    assert (caught.value.expected, caught.value.found) == (4096, page_size)


@pytest.mark.parametrize("page_id", [0, 21, 2**32, -1])
def test_numbers_outside_the_file(make_file: MakeFile, page_id: int) -> None:
    file, page = make_file(20), memoryview(bytearray(4096))
    for call in (lambda: file.read_page(page_id, page), lambda: file.write_page(page_id, page)):
        with pytest.raises(PageOutOfRange) as caught:
            call()
        assert (caught.value.page_id, caught.value.page_count) == (page_id, 21)
    with pytest.raises(IndexError):
        file.read_pages([1, page_id], [page, page])


@pytest.mark.parametrize("page_id", ["1", 1.0, None, True])
def test_numbers_of_the_wrong_type(make_file: MakeFile, page_id: object) -> None:
    file = make_file(2)
    for call in (lambda: file.read_page(page_id, bytearray(4096)), lambda: file.free_page(page_id)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="page_id as int"):
            call()


def test_buffers_of_the_wrong_kind(make_file: MakeFile) -> None:
    file = make_file(2)
    with pytest.raises(ValueError, match="4096 bytes, got 100"):
        file.read_page(1, memoryview(bytearray(100)))
    with pytest.raises(TypeError, match="writable"):
        file.read_page(1, memoryview(bytes(4096)))
    with pytest.raises(TypeError, match="writable"):
        file.read_page(1, memoryview(bytearray(8192))[::2])
    with pytest.raises(TypeError, match="bytes-like"):
        file.write_page(1, "x" * 4096)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="as many pages as ids"):
        file.write_pages([1, 2], [memoryview(bytearray(4096))])
    with pytest.raises(ValueError, match="page in use"):
        file.allocate_page(PageType.FREE)
    with pytest.raises(ValueError, match="not a valid PageType"):
        file.allocate_page(9)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="count >= 0"):
        file.allocate_pages(-1)


def test_read_only_bytes_are_sealed_in_a_copy(make_file: MakeFile) -> None:
    file = make_file(2)
    page = bytes(encode_page(1, b"body"))
    unsealed = page[:13] + b"\0\0\0\0" + page[17:]
    file.write_page(1, unsealed)
    into = bytearray(4096)
    file.read_page(1, memoryview(into))
    assert into == page
    assert unsealed[13:17] == b"\0\0\0\0"


def test_neighbours_move_in_one_call(make_file: MakeFile, faults: FaultyFileSystem) -> None:
    file = make_file(40)
    ids = [7, 3, 4, 30, 5, 6, 31]
    views = [memoryview(bytearray(4096)) for _ in ids]
    before = faults.counts["preadv"]
    file.read_pages(ids, views)
    assert faults.counts["preadv"] - before == 2  # 3..7 and 30..31
    assert [decode_page(view).page_id for view in views] == ids
    before = faults.counts["pwritev"]
    file.write_pages(ids, views)
    assert faults.counts["pwritev"] - before == 2
    assert file.statistics().reads == file.stats.reads == 7


def test_one_page_named_twice_is_written_in_order(make_file: MakeFile) -> None:
    file = make_file(3)
    pages = [memoryview(sealed_page(2, word)) for word in (b"first", b"second")]
    file.write_pages([2, 2], pages)
    into = bytearray(4096)
    file.read_page(2, memoryview(into))
    assert into == pages[1]


def test_roots_and_counts_survive_closing(path: Path) -> None:
    with PageFile(path) as file:
        assert file.was_clean
        file.allocate_pages(5)
        file.free_page(2)
        file.set_root(0, 2**64 - 1)
        file.set_root(15, 7)
    header = decode_file_header(path.read_bytes()[:4096])
    assert (header.page_count, header.free_head, header.free_count) == (6, 2, 1)
    with PageFile(path) as file:
        assert (file.page_count, file.free_count, file.was_clean) == (6, 1, True)
        assert [file.get_root(i) for i in (0, 1, 15)] == [2**64 - 1, 0, 7]
        for i in (-1, 16):
            with pytest.raises(ValueError, match="root from 0 to 15"):
                file.get_root(i)
        for value in (-1, 2**64):
            with pytest.raises(ValueError, match="64 bits"):
                file.set_root(0, value)


@settings(max_examples=60)
@given(steps=st.lists(st.integers(-1, 12), max_size=40), reopen=st.sets(st.integers(0, 40)))
def test_the_free_list_is_a_stack(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], reopen: set[int]
) -> None:
    """-1 allocates, n frees page n; the oracle is a Python list. Now and then the file reopens."""
    path = tmp_path_factory.mktemp("stack") / "a.oor"
    file = PageFile(path, 512)
    used: set[int] = set()
    stack: list[int] = []
    for i, step in enumerate(steps):
        if i in reopen:
            file.close()
            file = PageFile(path, 512)
        if step < 0:
            expected = stack.pop() if stack else 1 + len(used)
            assert file.allocate_page() == expected
            used.add(expected)
        elif step in used:
            file.free_page(step)
            used.remove(step)
            stack.append(step)
        else:
            with pytest.raises(
                ValueError, match=r"is the file header|is not allocated|already free"
            ):
                file.free_page(step)
        assert (file.free_count, file.page_count) == (len(stack), 1 + len(used) + len(stack))
    file.close()


def test_a_clean_flag_goes_down_with_the_first_write(path: Path, faults: FaultyFileSystem) -> None:
    PageFile(path).close()
    with PageFile(path, fs=faults) as file:
        assert faults.counts["pwritev"] == 0
        file.allocate_page()
        order = [call.op for call in faults.calls if call.op in ("pwritev", "sync")]
        assert order == ["pwritev", "sync", "pwritev"]  # header, durably, then the page
        assert not decode_file_header(path.read_bytes()[:4096]).flags & 1
    assert decode_file_header(path.read_bytes()[:4096]).flags & 1


def test_opening_alone_changes_nothing(path: Path, faults: FaultyFileSystem) -> None:
    PageFile(path).close()
    before = path.read_bytes()
    with PageFile(path, fs=faults) as file:
        file.sync()
    assert path.read_bytes() == before
    assert faults.counts["pwritev"] == faults.counts["sync"] == 0


def abandon(file: PageFile) -> None:
    """What a killed process leaves: no header written, the lock gone."""
    file._io.file.close()
    file._closed = True


def test_a_crash_loses_no_page_and_hands_none_out_twice(path: Path) -> None:
    with PageFile(path) as file:
        file.allocate_pages(6)
        for page_id in (2, 4, 6):
            file.free_page(page_id)
    file = PageFile(path)
    assert [file.allocate_page(), file.allocate_page()] == [6, 4]
    assert file.allocate_page() == 2
    assert file.allocate_page() == 7
    file.free_page(3)
    abandon(file)
    with PageFile(path) as file:
        assert not file.was_clean
        assert (file.page_count, file.free_count) == (8, 1)
        assert [file.allocate_page(), file.allocate_page()] == [3, 8]


def test_an_unclean_file_stays_unclean_until_something_is_written(path: Path) -> None:
    file = PageFile(path)
    file.allocate_page()
    abandon(file)
    for _ in range(2):
        with PageFile(path) as file:
            assert not file.was_clean
    with PageFile(path) as file:
        file.allocate_page()
    with PageFile(path) as file:
        assert file.was_clean


def test_a_second_opener_is_refused(path: Path) -> None:
    with PageFile(path):
        with pytest.raises(FileLocked, match=r"in this process already .*: close\(\)") as caught:
            PageFile(path)
        assert isinstance(caught.value, BlockingIOError)
        assert caught.value.here
        assert in_another_process(path).startswith("FileLocked False")
    assert in_another_process(path) == "opened"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(FileLocked, match="open in another process: close it there") as caught:
            PageFile(path)
        assert not caught.value.here
    finally:
        holder.communicate(timeout=60)
    PageFile(path).close()


HOLDER = """
import sys
from meridian.database.storage import PageFile
with PageFile(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""

OPENER = """
import sys
from meridian.database.storage import FileLocked, PageFile
try:
    PageFile(sys.argv[1], readonly=len(sys.argv) > 2).close()
    print("opened")
except FileLocked as error:
    print(type(error).__name__, error.here, error)
"""


def in_another_process(path: Path, *options: str) -> str:
    """What opening the file gives in a process of its own."""
    command = [sys.executable, "-c", OPENER, str(path), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_readers_share_a_file_and_keep_writers_out(path: Path) -> None:
    PageFile(path).close()
    with PageFile(path, readonly=True), PageFile(path, readonly=True):
        assert in_another_process(path, "readonly") == "opened"
        assert in_another_process(path).startswith("FileLocked False")
        with pytest.raises(FileLocked):
            PageFile(path)
    with PageFile(path):
        assert in_another_process(path, "readonly").startswith("FileLocked False")


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4", b"PK" * 4096, bytes(8192)], ids=["empty", "short", "zip", "zeros"]
)
def test_foreign_files_are_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(BadMagic, match=f"^{path} is not a page file: expected magic"):
        PageFile(path, create=False)
    assert path.read_bytes() == content


def test_a_missing_file_is_not_made_unless_asked(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PageFile(path, create=False)
    with pytest.raises(FileNotFoundError):
        PageFile(path, readonly=True)
    assert not path.exists()


def test_a_newer_version_is_refused(path: Path) -> None:
    PageFile(path).close()
    page = bytearray(path.read_bytes())
    page[17] = 2
    seal(page)
    path.write_bytes(page)
    with pytest.raises(BadFormat, match="version 2, expected 1"):
        PageFile(path)


@given(at=st.integers(0, 166), bit=st.integers(0, 7))
@settings(max_examples=60)
def test_a_damaged_file_header_is_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("header") / "a.oor"
    with PageFile(path) as file:
        file.allocate_pages(3)
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1 << bit
    path.write_bytes(raw)
    with pytest.raises((CorruptPage, BadFormat)):
        PageFile(path)


def test_a_cut_file_is_refused_or_repaired(path: Path) -> None:
    with PageFile(path) as file:
        file.allocate_pages(9)
    size = os.path.getsize(path)
    os.truncate(path, size - 1)
    with pytest.raises(TruncatedFile, match="repair=True") as caught:
        PageFile(path)
    assert (caught.value.expected, caught.value.size) == (size, size - 1)
    assert os.path.getsize(path) == size - 1
    with PageFile(path, repair=True) as file:
        assert (file.page_count, file.was_clean) == (9, False)
        file.read_page(8, memoryview(bytearray(4096)))
    os.truncate(path, 5 * 4096)
    with pytest.raises(TruncatedFile, match="whole pages are missing"):
        PageFile(path, repair=True)
    os.truncate(path, 3000)
    with pytest.raises(TruncatedFile, match="not even the file header"):
        PageFile(path, repair=True)


def test_a_file_that_shrinks_while_open(make_file: MakeFile, path: Path) -> None:
    file = make_file(5)
    os.truncate(path, 5 * 4096 + 100)
    with pytest.raises(TruncatedFile, match="shrank") as caught:
        file.read_page(5, memoryview(bytearray(4096)))
    assert isinstance(caught.value, EOFError)


def test_swapped_and_torn_pages(make_file: MakeFile, path: Path) -> None:
    file = make_file(5)
    raw = path.read_bytes()
    with open(path, "r+b") as disk:
        disk.seek(4096)
        disk.write(raw[8192:12288] + raw[4096:8192])
        disk.seek(3 * 4096)
        disk.write(bytes(encode_page(3, b"new" * 900))[:2048])  # the first half made it
    into = memoryview(bytearray(4096))
    for page_id, found in ((1, 2), (2, 1)):
        with pytest.raises(MisdirectedPage) as caught:
            file.read_page(page_id, into)
        assert caught.value.found == found
    with pytest.raises(ChecksumMismatch):
        file.read_page(3, into)
    file.read_page(3, into, verify=False)
    file.read_pages([4, 5], [into, memoryview(bytearray(4096))])


def test_short_and_interrupted_transfers_go_on(
    make_file: MakeFile, faults: FaultyFileSystem
) -> None:
    file = make_file(8)
    ids = [1, 2, 3, 4]
    views = [memoryview(bytearray(4096)) for _ in ids]
    for nbytes in (1, 4096, 5000, 16383):
        faults.short("preadv", nbytes=nbytes)
        faults.short("preadv", nbytes=1)
        faults.fail("preadv", nth=3, error=InterruptedError())
        file.read_pages(ids, views)
        assert [decode_page(view).page_id for view in views] == ids
        faults.short("pwritev", nbytes=nbytes)
        faults.fail("pwritev", nth=2, error=InterruptedError())
        file.write_pages(ids, views)
        file.read_pages(ids, views)
        assert not faults.pending


def test_errors_of_the_disk_come_out(make_file: MakeFile, faults: FaultyFileSystem) -> None:
    file, page = make_file(4), memoryview(sealed_page(1))
    faults.fail("preadv")
    with pytest.raises(OSError, match="Input/output"):
        file.read_page(1, memoryview(bytearray(4096)))
    faults.fail("pwritev")
    with pytest.raises(OSError, match="Input/output"):
        file.write_page(1, page)
    faults.fail("sync")
    with pytest.raises(OSError, match="Input/output"):
        file.sync()
    file.write_page(1, page)
    file.read_page(1, page)


@pytest.mark.parametrize("written", [0, 100, 4096, 8000])
def test_a_full_disk_takes_back_what_it_grew(
    make_file: MakeFile, faults: FaultyFileSystem, path: Path, written: int
) -> None:
    file = make_file(4)
    size = os.path.getsize(path)
    full = OSError(errno.ENOSPC, "No space left on device")
    faults.tear(keep_bytes=written, error=full)
    with pytest.raises(OSError, match="No space"):
        file.allocate_pages(3)
    assert (file.page_count, os.path.getsize(path)) == (5, size)
    assert file.allocate_page() == 5


def test_a_failed_allocation_gives_back_free_pages(
    make_file: MakeFile, faults: FaultyFileSystem
) -> None:
    file = make_file(4)
    for page_id in (1, 2, 3):
        file.free_page(page_id)
    faults.fail("pwritev", nth=3, error=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        file.allocate_pages(3)
    assert file.free_count == 3
    assert file.allocate_pages(4) == [3, 2, 1, 5]


def test_a_free_list_that_lies_is_found_out(make_file: MakeFile, path: Path) -> None:
    file = make_file(4)
    file.free_page(2)
    with open(path, "r+b") as disk:
        disk.seek(2 * 4096)
        disk.write(encode_page(2))  # in use, says the page
    assert file.allocate_page() == 5
    assert (file.free_count, file.damaged) == (0, ())
    file.free_page(2)
    with open(path, "r+b") as disk:
        disk.seek(2 * 4096)
        disk.write(encode_page(2, (99).to_bytes(4, "little"), page_type=3))
    assert file.allocate_pages(2) == [2, 6], "the page is sound, its link is not"
    assert (file.free_count, file.damaged) == (0, ())


def test_read_only_files(make_file: MakeFile, path: Path) -> None:
    make_file(3).close()
    before = path.read_bytes()
    with PageFile(path, readonly=True) as file:
        page = memoryview(bytearray(4096))
        file.read_page(3, page)
        for call in (
            lambda: file.write_page(3, page),
            lambda: file.allocate_page(),
            lambda: file.free_page(3),
            lambda: file.set_root(0, 1),
        ):
            with pytest.raises(io.UnsupportedOperation, match="read-only"):
                call()
        file.sync()
    assert path.read_bytes() == before


def test_a_closed_file_says_so(make_file: MakeFile) -> None:
    file = make_file(2)
    file.close()
    file.close()
    page = memoryview(bytearray(4096))
    for call in (
        lambda: file.read_page(1, page),
        lambda: file.read_pages([1], [page]),
        lambda: file.write_page(1, page),
        lambda: file.allocate_page(),
        lambda: file.free_page(1),
        lambda: file.get_root(0),
        lambda: file.set_root(0, 1),
        lambda: file.sync(),
    ):
        with pytest.raises(StorageClosed, match="is closed"):
            call()


def test_a_failed_close_releases_the_file_and_does_not_call_it_clean(
    path: Path, faults: FaultyFileSystem
) -> None:
    file = PageFile(path, fs=faults)
    file.allocate_page()
    faults.fail("sync")
    with pytest.raises(OSError, match="Input/output"):
        file.close()
    file.close()
    with PageFile(path) as file:
        assert not file.was_clean


def test_counters(make_file: MakeFile) -> None:
    file = make_file(10)
    file.stats.reset()
    file.read_pages([1, 2, 9], [memoryview(bytearray(4096)) for _ in range(3)])
    file.write_page(4, memoryview(sealed_page(4)))
    file.free_page(9)
    file.allocate_page()
    file.sync()
    now = file.statistics()
    assert (now.reads, now.writes, now.allocs, now.frees, now.syncs) == (3, 1, 1, 1, 1)
    assert now.calls == 8  # 2 reads, 1 write, read and write to free, the same to allocate, header
    assert now.bytes == (3 + 1 + 2 + 2 + 1) * 4096
    file.sync()
    assert now.syncs == 1, "a frozen copy does not move"


def test_pages_appended_with_their_contents(
    make_file: MakeFile, faults: FaultyFileSystem, path: Path
) -> None:
    file = make_file(3)
    size = os.path.getsize(path)

    def fill(page_ids: range) -> list[memoryview]:
        return [memoryview(bytearray(encode_page(i, b"full"))) for i in page_ids]

    full = OSError(errno.ENOSPC, "No space left on device")
    faults.tear(keep_bytes=5000, error=full)
    with pytest.raises(OSError, match="No space"):
        file.append_pages(2, fill)
    assert (file.page_count, os.path.getsize(path)) == (4, size)
    before = faults.counts["pwritev"]
    assert list(file.append_pages(2, fill)) == [4, 5]
    assert faults.counts["pwritev"] == before + 1
    page = memoryview(bytearray(4096))
    file.read_page(5, page)
    assert bytes(page[17:21]) == b"full"
    for count in (0, -1, 1025):
        with pytest.raises(ValueError, match="1 to 1024 pages"):
            file.append_pages(count, fill)
    with pytest.raises(ValueError, match="Expected 2 pages to append, got 1"):
        file.append_pages(2, lambda ids: fill(ids)[:1])
    assert file.page_count == 6
