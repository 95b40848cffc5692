"""Every fault strikes where it was planned, once, and nowhere else."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.fs import (
    FileSystem,
    LogFile,
    OsFileSystem,
    OsLogFile,
    OsRandomFile,
    RandomFile,
    StrPath,
)
from meridian.testing import FaultyFileSystem
from meridian.testing.faults import OPERATIONS

DATA = bytes(range(256))


class Remembering(OsFileSystem):
    """Knows what it opened, so that a test need not close what it only looks at."""

    def __init__(self) -> None:
        self.opened: list[OsRandomFile | OsLogFile] = []

    def open_append(self, path: StrPath) -> OsLogFile:
        file = super().open_append(path)
        self.opened.append(file)
        return file

    def create(self, path: StrPath) -> OsLogFile:
        file = super().create(path)
        self.opened.append(file)
        return file

    def open_random(
        self, path: StrPath, *, create: bool = False, direct: bool = False, readonly: bool = False
    ) -> OsRandomFile:
        file = super().open_random(path, create=create, direct=direct, readonly=readonly)
        self.opened.append(file)
        return file


@pytest.fixture
def fs() -> Iterator[FaultyFileSystem]:
    inner = Remembering()
    yield FaultyFileSystem(inner)
    for file in inner.opened:
        file.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "pages.oor"
    file.write_bytes(DATA)
    return file


def read(file: RandomFile, size: int, offset: int = 0) -> tuple[int, bytes]:
    buffer = bytearray(size)
    got = file.preadv([memoryview(buffer)], offset)
    return got, bytes(buffer[:got])


def test_it_keeps_the_protocols(fs: FaultyFileSystem, path: Path, tmp_path: Path) -> None:
    assert isinstance(fs, FileSystem)
    assert isinstance(fs.open_random(path), RandomFile)
    assert isinstance(fs.create(tmp_path / "log"), LogFile)
    assert isinstance(fs.open_append(tmp_path / "log"), LogFile)


def test_without_faults_it_is_the_file_system_inside(fs: FaultyFileSystem, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    fs.mkdir(folder)
    log = fs.create(folder / "log")
    assert log.write(b"hello") == 5
    log.preallocate(64)
    log.sync()
    assert log.tell() == 5
    log.truncate(4)
    log.close()
    file = fs.open_random(folder / "pages", create=True)
    assert file.lock()
    assert file.pwritev([b"ab", bytearray(b"cd"), memoryview(b"ef")], 3) == 6
    assert read(file, 9) == (9, b"\0\0\0abcdef")
    file.sync()
    assert file.size() == 9
    file.truncate(5)
    file.close()
    assert fs.listdir(folder) == ["log", "pages"]
    assert (fs.size(folder / "pages"), fs.exists(folder / "none")) == (5, False)
    fs.rename(folder / "log", folder / "log2")
    fs.sync_dir(folder)
    assert bytes(fs.read(folder / "log2")) == b"hell"
    fs.unlink(folder / "log2")
    assert (folder / "pages").read_bytes() == b"\0\0\0ab"
    assert set(fs.counts) == OPERATIONS - {"open_append"}
    assert all(call.error is None for call in fs.calls)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        InterruptedError(errno.EINTR, "Interrupted system call"),
    ],
)
def test_the_nth_call_fails_and_moves_nothing(
    fs: FaultyFileSystem, path: Path, error: OSError
) -> None:
    fs.fail("pwritev", nth=3, error=error)
    file = fs.open_random(path)
    for i in range(2):
        assert file.pwritev([b"new"], i * 3) == 3
    with pytest.raises(type(error)) as caught:
        file.pwritev([b"bad"], 6)
    assert caught.value.errno == error.errno
    assert fs.pending == []
    assert path.read_bytes() == b"newnew" + DATA[6:]
    assert file.pwritev([b"!!!"], 6) == 3  # the disk works again


def test_the_default_error_is_eio_and_a_full_disk_stays_full(
    fs: FaultyFileSystem, path: Path
) -> None:
    fs.fail("pwritev", nth=2, times=None)
    file = fs.open_random(path)
    file.pwritev([b"x"], 0)
    for _ in range(5):
        with pytest.raises(OSError, match="Input/output") as caught:
            file.pwritev([b"y"], 0)
        assert caught.value.errno == errno.EIO
    assert len(fs.pending) == 1
    fs.heal()
    assert fs.pending == []
    assert file.pwritev([b"z"], 0) == 1


def test_times_fails_that_many_in_a_row(fs: FaultyFileSystem, path: Path) -> None:
    fs.fail("preadv", nth=2, times=2)
    file = fs.open_random(path)
    outcomes = []
    for _ in range(5):
        try:
            outcomes.append(read(file, 1)[0])
        except OSError:
            outcomes.append(-1)
    assert outcomes == [1, -1, -1, 1, 1]


def test_counting_starts_when_the_fault_is_planned(fs: FaultyFileSystem, path: Path) -> None:
    file = fs.open_random(path)
    read(file, 1)
    fs.fail("preadv", nth=1)
    with pytest.raises(OSError, match="Input/output"):
        read(file, 1)


def test_two_faults_due_at_once_strike_one_after_the_other(
    fs: FaultyFileSystem, path: Path
) -> None:
    fs.fail("preadv", error=OSError(errno.EIO, "first"))
    fs.short("preadv", nbytes=2)
    file = fs.open_random(path)
    with pytest.raises(OSError, match="first"):
        read(file, 8)
    assert read(file, 8) == (2, DATA[:2])
    assert read(file, 8) == (8, DATA[:8])


@pytest.mark.parametrize("op", sorted(OPERATIONS))
def test_every_operation_can_fail_and_then_did_nothing(
    fs: FaultyFileSystem, path: Path, tmp_path: Path, op: str
) -> None:
    log = fs.open_append(tmp_path / "log")
    file = fs.open_random(path)
    actions = {
        "open_append": lambda: fs.open_append(tmp_path / "fresh"),
        "create": lambda: fs.create(tmp_path / "fresh"),
        "open_random": lambda: fs.open_random(tmp_path / "fresh", create=True),
        "read": lambda: fs.read(path),
        "listdir": lambda: fs.listdir(tmp_path),
        "exists": lambda: fs.exists(path),
        "size": lambda: fs.size(path),
        "rename": lambda: fs.rename(path, tmp_path / "fresh"),
        "unlink": lambda: fs.unlink(path),
        "mkdir": lambda: fs.mkdir(tmp_path / "fresh"),
        "sync_dir": lambda: fs.sync_dir(tmp_path),
        "preadv": lambda: read(file, 8),
        "pwritev": lambda: file.pwritev([b"xxx"], 0),
        "write": lambda: log.write(b"xxx"),
        "sync": file.sync,
        "truncate": lambda: file.truncate(1),
        "preallocate": lambda: log.preallocate(4096),
        "lock": file.lock,
        "close": file.close,
    }
    assert set(actions) == OPERATIONS
    fs.fail(op)
    with pytest.raises(OSError, match="Input/output"):
        actions[op]()
    assert fs.calls[-1].op == op
    assert fs.calls[-1].error == "OSError"
    assert path.read_bytes() == DATA
    assert not (tmp_path / "fresh").exists()
    assert (tmp_path / "log").read_bytes() == b""
    actions[op]()  # and works the second time


def test_a_close_that_fails_has_still_let_go(fs: FaultyFileSystem, path: Path) -> None:
    file = fs.open_random(path)
    assert file.lock()
    fs.fail("close")
    with pytest.raises(OSError, match="Input/output"):
        file.close()
    assert fs.open_random(path).lock()


def test_a_path_filter_spares_the_others(fs: FaultyFileSystem, path: Path, tmp_path: Path) -> None:
    (tmp_path / "other.wal").write_bytes(DATA)
    fs.fail("preadv", nth=2, path="*.oor")
    pages, log = fs.open_random(path), fs.open_random(tmp_path / "other.wal")
    for _ in range(3):
        read(log, 4)
    read(pages, 4)
    with pytest.raises(OSError, match="Input/output"):
        read(pages, 4)
    fs.fail("preadv", path=str(tmp_path / "other.wal"))
    with pytest.raises(OSError, match="Input/output"):
        read(log, 4)


# -- short and torn -------------------------------------------------------------------------------


@given(st.integers(0, 40), st.lists(st.integers(0, 12), min_size=1, max_size=5))
def test_short_moves_exactly_the_first_bytes(
    tmp_path_factory: pytest.TempPathFactory, nbytes: int, sizes: list[int]
) -> None:
    path = tmp_path_factory.mktemp("short") / "f"
    path.write_bytes(DATA)
    fs = FaultyFileSystem()
    file = fs.open_random(path)
    total = min(nbytes, sum(sizes))
    fs.short("preadv", nbytes=nbytes)
    buffers = [bytearray(b"." * size) for size in sizes]
    assert file.preadv([memoryview(buffer) for buffer in buffers], 7) == total
    assert b"".join(buffers) == DATA[7 : 7 + total] + b"." * (sum(sizes) - total)
    fs.short("pwritev", nbytes=nbytes)
    assert file.pwritev([b"#" * size for size in sizes], 7) == total
    assert path.read_bytes() == DATA[:7] + b"#" * total + DATA[7 + total :]
    file.close()


def test_a_torn_write_keeps_its_head_and_raises(fs: FaultyFileSystem, path: Path) -> None:
    fs.tear(nth=2, keep_bytes=5, error=OSError(errno.ENOSPC, "full"))
    file = fs.open_random(path)
    file.pwritev([b"1"], 200)
    with pytest.raises(OSError, match="full"):
        file.pwritev([b"abc", b"defgh"], 10)
    assert path.read_bytes()[10:18] == b"abcde" + DATA[15:18]
    call = fs.calls[-1]
    assert (call.op, call.offset, call.nbytes, call.done) == ("pwritev", 10, 8, 5)


def test_a_silent_tear_claims_the_whole_write(fs: FaultyFileSystem, path: Path) -> None:
    fs.tear(keep_bytes=2, silent=True)
    file = fs.open_random(path)
    assert file.pwritev([b"abc", b"def"], 0) == 6
    assert path.read_bytes() == b"ab" + DATA[2:]
    fs.tear(silent=True)  # a write that is lost altogether
    assert file.pwritev([b"zzz"], 0) == 3
    assert path.read_bytes() == b"ab" + DATA[2:]


def test_a_log_can_be_torn_too(fs: FaultyFileSystem, tmp_path: Path) -> None:
    log = fs.open_append(tmp_path / "log")
    log.write(b"head")
    fs.tear(keep_bytes=3, op="write")
    with pytest.raises(OSError, match="Input/output"):
        log.write(b"record")
    assert (tmp_path / "log").read_bytes() == b"headrec"
    assert log.tell() == 7


def test_a_tear_keeps_what_it_promises_over_short_writes_below(path: Path) -> None:
    below = FaultyFileSystem()
    below.short("pwritev", nbytes=1, times=None)
    fs = FaultyFileSystem(below)
    fs.tear(keep_bytes=5, silent=True)
    file = fs.open_random(path)
    assert file.pwritev([b"abc", b"", b"defgh"], 0) == 8
    file.close()
    assert path.read_bytes() == b"abcde" + DATA[5:]
    assert below.counts["pwritev"] == 5


# -- damage ---------------------------------------------------------------------------------------


@given(st.integers(0, 255), st.integers(0, 7))
def test_flip_bit_changes_one_bit_and_twice_none(
    tmp_path_factory: pytest.TempPathFactory, byte: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "f"
    path.write_bytes(DATA)
    fs = FaultyFileSystem()
    fs.flip_bit(path, byte, bit)
    expected = bytearray(DATA)
    expected[byte] ^= 1 << bit
    assert path.read_bytes() == expected
    fs.flip_bit(path, byte, bit)
    assert path.read_bytes() == DATA
    assert fs.calls == []  # damage is not traffic


def test_truncate_cuts_the_stored_file(fs: FaultyFileSystem, path: Path) -> None:
    fs.truncate(path, 100)
    assert path.read_bytes() == DATA[:100]
    for size in (-1, 101):
        with pytest.raises(ValueError, match="0 to 100 bytes"):
            fs.truncate(path, size)


@pytest.mark.parametrize(("byte", "bit"), [(256, 0), (-1, 0), (0, 8), (0, -1)])
def test_there_is_no_such_bit(fs: FaultyFileSystem, path: Path, byte: int, bit: int) -> None:
    with pytest.raises(ValueError, match=r"byte|bit"):
        fs.flip_bit(path, byte, bit)
    assert path.read_bytes() == DATA


# -- planning and the record --------------------------------------------------------------------


def test_plans_that_make_no_sense_are_refused(fs: FaultyFileSystem) -> None:
    for plan, message in (
        (lambda: fs.fail("pwrite"), "No operation 'pwrite'; known: close, create"),
        (lambda: fs.fail("preadv", nth=0), "nth >= 1"),
        (lambda: fs.fail("preadv", times=0), "times >= 1"),
        (lambda: fs.short("write", nbytes=3), "preadv and pwritev can be short"),
        (lambda: fs.short("preadv", nbytes=-1), "bytes >= 0"),
        (lambda: fs.tear(op="preadv"), "pwritev and write can be torn"),
        (lambda: fs.tear(keep_bytes=-1), "bytes >= 0"),
        (lambda: fs.tear(silent=True, error=OSError()), "either silent or error"),
    ):
        with pytest.raises(ValueError, match=message):
            plan()
    assert fs.pending == []


def test_the_record_tells_the_story(fs: FaultyFileSystem, path: Path) -> None:
    file = fs.open_random(path)
    read(file, 16, offset=250)
    fs.fail("sync")
    with pytest.raises(OSError, match="Input/output"):
        file.sync()
    told = [(call.op, call.offset, call.nbytes, call.done, call.error) for call in fs.calls]
    assert told == [
        ("open_random", None, None, None, None),
        ("preadv", 250, 16, 6, None),
        ("sync", None, None, None, "OSError"),
    ]
    assert {call.path for call in fs.calls} == {str(path)}
    assert dict(fs.counts) == {"open_random": 1, "preadv": 1, "sync": 1}


def test_errors_of_the_file_system_pass_through(fs: FaultyFileSystem, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fs.open_random(tmp_path / "none")
    assert fs.calls[-1].error == "FileNotFoundError"


def test_threads_meet_each_fault_once(fs: FaultyFileSystem, path: Path) -> None:
    for nth in range(1, 400, 4):
        fs.fail("preadv", nth=nth)
    file = fs.open_random(path)
    failures = []

    def work() -> None:
        for _ in range(100):
            try:
                read(file, 1)
            except OSError:
                failures.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 100
    assert fs.counts["preadv"] == 400
    assert fs.pending == []
