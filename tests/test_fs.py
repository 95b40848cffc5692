"""The file layer: thin system calls, their contracts, and points where a process may die."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian import fs as module
from meridian.errors import MeridianError
from meridian.fs import (
    FailpointError,
    FileSystem,
    LogFile,
    OsFileSystem,
    RandomFile,
    arm,
    disarm,
    failpoint,
    locked_here,
)

FS = OsFileSystem()


@pytest.fixture(autouse=True)
def nothing_stays_armed() -> Iterator[None]:
    yield
    disarm()


def test_it_keeps_the_protocols(tmp_path: Path) -> None:
    assert isinstance(FS, FileSystem)
    file, log = FS.open_random(tmp_path / "f", create=True), FS.create(tmp_path / "l")
    assert isinstance(file, RandomFile)
    assert isinstance(log, LogFile)
    file.close()
    log.close()


# -- random files ---------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.integers(0, 500), st.lists(st.binary(max_size=40), max_size=4)), max_size=15
    )
)
def test_reads_and_writes_are_those_of_a_byte_array(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, list[bytes]]]
) -> None:
    file = FS.open_random(tmp_path_factory.mktemp("fs") / "f", create=True)
    model = bytearray()
    for offset, buffers in writes:
        data = b"".join(buffers)
        if not data:
            continue
        assert file.pwritev(buffers, offset) == len(data)
        model.extend(bytes(max(0, offset + len(data) - len(model))))
        model[offset : offset + len(data)] = data
    assert file.size() == len(model)
    for offset in (0, 3, len(model), len(model) + 10):
        parts = [bytearray(b"?" * size) for size in (7, 0, 300, 600)]
        got = file.preadv([memoryview(part) for part in parts], offset)
        expected = bytes(model[offset : offset + 907])
        assert got == len(expected)
        assert b"".join(parts) == expected + b"?" * (907 - got)
    file.close()


def test_a_missing_file_is_created_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with pytest.raises(FileNotFoundError):
        FS.open_random(path)
    with pytest.raises(FileNotFoundError):
        FS.open_random(path, create=True, readonly=True)
    FS.open_random(path, create=True).close()
    assert FS.exists(path)
    assert path.stat().st_mode & 0o777 & ~0o644 == 0


def test_readonly_means_it(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    file = FS.open_random(tmp_path / "f", readonly=True)
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.pwritev([b"x"], 0)
    file.close()


def test_truncate_and_size(tmp_path: Path) -> None:
    file = FS.open_random(tmp_path / "f", create=True)
    file.truncate(1000)
    assert (file.size(), FS.size(tmp_path / "f")) == (1000, 1000)
    file.truncate(10)
    file.sync()
    assert (tmp_path / "f").read_bytes() == bytes(10)
    file.close()


def test_the_lock_excludes_another_handle_and_goes_with_the_file(tmp_path: Path) -> None:
    first = FS.open_random(tmp_path / "f", create=True)
    second = FS.open_random(tmp_path / "f")
    assert first.lock()
    assert first.lock()  # one's own is no obstacle
    assert not second.lock()
    first.close()
    assert second.lock()
    second.close()


def test_shared_locks_go_together_and_exclude_the_other_kind(tmp_path: Path) -> None:
    files = [FS.open_random(tmp_path / "f", create=True)]
    files += [FS.open_random(tmp_path / "f", readonly=True) for _ in range(2)]
    assert not locked_here(tmp_path / "f")
    assert files[1].lock(shared=True)
    assert files[2].lock(shared=True)
    assert not files[0].lock()
    assert locked_here(tmp_path / "f")
    os.link(tmp_path / "f", tmp_path / "other name")
    assert locked_here(tmp_path / "other name")
    for file in files[1:]:
        file.close()
    assert not locked_here(tmp_path / "f")
    assert files[0].lock()
    late = FS.open_random(tmp_path / "f", readonly=True)
    assert not late.lock(shared=True)
    assert not locked_here(tmp_path / "none")
    late.close()
    files[0].close()


@pytest.mark.parametrize("opened", ["random", "log"])
def test_a_file_dropped_while_open_warns_and_lets_go(tmp_path: Path, opened: str) -> None:
    path = tmp_path / "f"
    held = [FS.open_random(path, create=True) if opened == "random" else FS.create(path)]
    fd = held[0]._fd
    with pytest.warns(ResourceWarning, match=f"^Unclosed file {path}$") as told:
        held.clear()
    told.clear()  # it has the file as the warning's source
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.parametrize("readonly", [False, True])
def test_only_regular_files_are_opened(tmp_path: Path, readonly: bool) -> None:
    os.mkfifo(tmp_path / "pipe")  # which to open would wait for the other end
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(OSError, match="Not a regular file") as caught:
            FS.open_random(path, readonly=readonly)
        assert caught.value.filename == str(path)
        assert isinstance(caught.value, IsADirectoryError) == (path == tmp_path)


def test_the_lock_excludes_another_process_and_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "f"
    code = (
        "import sys; from meridian.fs import OsFileSystem\n"
        "file = OsFileSystem().open_random(sys.argv[1], create=True)\n"
        "print(file.lock(), flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        file = FS.open_random(path)
        assert not file.lock()
        child.kill()
        child.wait(timeout=30)
        assert file.lock()
        file.close()


def test_closing_twice_is_harmless_and_a_closed_file_refuses(tmp_path: Path) -> None:
    file = FS.open_random(tmp_path / "f", create=True)
    file.close()
    file.close()
    for use in (file.size, lambda: file.pwritev([b"x"], 0), file.sync, file.lock):
        # The kernel refuses the number, or Python does before asking.
        with pytest.raises((OSError, ValueError), match=r"[Ff]ile descriptor"):
            use()


def test_direct_io_wants_alignment_or_says_that_it_cannot(tmp_path: Path) -> None:
    try:
        file = FS.open_random(tmp_path / "f", create=True, direct=True)
    except OSError as error:  # tmpfs before Linux 6.5, and systems without O_DIRECT
        assert error.errno == errno.EINVAL  # noqa: PT017
        return
    with pytest.raises(OSError, match="Invalid argument"):
        file.pwritev([b"x" * 100], 1)
    file.close()


# -- logs -----------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=50), max_size=20), st.booleans())
def test_a_log_is_what_was_written_in_order(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], reserve: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "l"
    log = FS.create(path)
    if reserve:
        log.preallocate(2048)
    for record in records:
        assert log.write(record) == len(record)
    whole = b"".join(records)
    assert log.tell() == len(whole)
    log.sync()
    assert path.read_bytes()[: len(whole)] == whole
    assert path.read_bytes()[len(whole) :].strip(b"\0") == b""
    log.close()


def test_a_log_takes_any_buffer_of_bytes_or_wider_items(tmp_path: Path) -> None:
    log = FS.create(tmp_path / "l")
    wide = memoryview(b"abcdefgh").cast("I")
    for data in (b"1", bytearray(b"2"), memoryview(b"3"), wide):
        log.write(data)
    assert log.tell() == 11
    assert (tmp_path / "l").read_bytes() == b"123abcdefgh"
    log.close()


def test_a_log_continues_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "l"
    first = FS.create(path)
    first.write(b"one")
    first.close()
    with pytest.raises(FileExistsError):
        FS.create(path)
    again = FS.open_append(path)
    assert again.tell() == 3
    again.write(b"two")
    again.truncate(4)
    again.write(b"!")
    again.sync()
    assert again.tell() == 5
    again.close()
    assert path.read_bytes() == b"onet!"
    fresh = FS.open_append(tmp_path / "fresh")
    assert fresh.tell() == 0
    fresh.close()


def test_preallocation_changes_the_size_once(tmp_path: Path) -> None:
    log = FS.create(tmp_path / "l")
    log.preallocate(4096)
    assert (log.size(), log.tell()) == (4096, 0)
    log.write(b"x" * 4000)
    log.preallocate(1000)  # already there
    log.sync()
    assert (log.size(), log.tell()) == (4096, 4000)
    log.write(b"x" * 200)
    log.sync()
    assert log.size() == 4200
    log.close()


@pytest.mark.skipif(sys.platform == "darwin", reason="one call there syncs data and size")
def test_a_sync_includes_the_size_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    log = FS.create(tmp_path / "l")
    log.preallocate(4096)
    monkeypatch.setattr(module.os, "fsync", lambda _: calls.append("data and size"))
    monkeypatch.setattr(module.os, "fdatasync", lambda _: calls.append("data"))
    for action in (
        lambda: log.write(b"x" * 4096),  # into what was reserved
        lambda: log.write(b"y"),  # beyond it
        lambda: None,
        lambda: log.truncate(100),
        lambda: log.write(b"z"),  # the reserve is gone
    ):
        action()
        log.sync()
    assert calls == ["data", "data and size", "data", "data", "data and size"]
    log.close()


def test_short_writes_of_the_kernel_are_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.pwrite
    monkeypatch.setattr(module.os, "pwrite", lambda fd, data, at: whole(fd, data[:3], at))
    log = FS.create(tmp_path / "l")
    assert log.write(b"0123456789") == 10
    log.close()
    assert (tmp_path / "l").read_bytes() == b"0123456789"


# -- names ----------------------------------------------------------------------------------------


def test_names_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    FS.mkdir(folder)
    FS.mkdir(folder)
    for name in ("z", "y"):
        log = FS.create(folder / name)
        log.write(name.encode())
        log.close()
    assert FS.listdir(folder) == ["y", "z"]
    FS.rename(folder / "y", folder / "z")
    FS.sync_dir(folder)
    assert FS.listdir(str(folder)) == ["z"]
    assert FS.read(folder / "z") == b"y"
    FS.unlink(folder / "z")
    assert not FS.exists(folder / "z")
    for use in (FS.read, FS.size, FS.unlink, FS.listdir, FS.sync_dir):
        with pytest.raises(FileNotFoundError):
            use(folder / "z")


# -- failpoints -----------------------------------------------------------------------------------


def test_an_unarmed_point_does_nothing() -> None:
    failpoint("meridian.test.nothing")
    arm("another", action="raise")
    failpoint("meridian.test.nothing")


def test_the_nth_arrival_strikes_once() -> None:
    arm("flush", nth=3, action="raise")
    failpoint("flush")
    failpoint("other")
    failpoint("flush")
    with pytest.raises(FailpointError, match="'flush' reached") as caught:
        failpoint("flush")
    assert caught.value.name == "flush"
    assert isinstance(caught.value, MeridianError)
    failpoint("flush")


def test_one_point_can_be_armed_for_several_arrivals() -> None:
    arm("flush", nth=1, action="raise")
    arm("flush", nth=3, action="raise")
    strikes = []
    for i in range(1, 6):
        try:
            failpoint("flush")
        except FailpointError:
            strikes.append(i)
    assert strikes == [1, 3]


def test_disarming_one_point_or_all() -> None:
    for name in ("a", "b", "c"):
        arm(name, action="raise")
    disarm("a")
    failpoint("a")
    with pytest.raises(FailpointError):
        failpoint("b")
    disarm()
    failpoint("c")
    disarm("never armed")


@pytest.mark.parametrize(
    ("nth", "action"),
    [(0, "raise"), (-1, "kill"), (1, "explode"), (1, "sleep"), (1, "sleep:soon"), (1, "kill:9")],
)
def test_arming_nonsense_is_refused(nth: int, action: str) -> None:
    with pytest.raises(ValueError, match="Expected"):
        arm("flush", nth=nth, action=action)
    failpoint("flush")


def test_sleep_waits_that_long(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    arm("flush", action="sleep:250")
    failpoint("flush")
    failpoint("flush")
    assert waited == [0.25]


CHILD = """
import sys
from meridian.fs import OsFileSystem, arm, failpoint
log = OsFileSystem().create(sys.argv[1])
if len(sys.argv) > 2:
    arm("after write", nth=int(sys.argv[2]))
for i in range(5):
    log.write(b"%d" % i)
    failpoint("after write")
"""


def run_child(path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(path), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_kill_ends_the_process_at_that_point_and_keeps_what_was_written(tmp_path: Path) -> None:
    done = run_child(tmp_path / "log", "3")
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "log").read_bytes() == b"012"


@pytest.mark.parametrize(
    ("setting", "code", "kept"),
    [
        ("after write:2:kill", -signal.SIGKILL, b"01"),
        ("after write:4:raise", 1, b"0123"),
        ("elsewhere:1:kill", 0, b"01234"),
        ("", 0, b"01234"),
    ],
)
def test_the_environment_arms_a_child(tmp_path: Path, setting: str, code: int, kept: bytes) -> None:
    done = run_child(tmp_path / "log", MERIDIAN_FAILPOINT=setting)
    assert done.returncode == code
    assert ("FailpointError" in done.stderr) == (code == 1)
    assert (tmp_path / "log").read_bytes() == kept


def test_an_unarmed_point_is_nearly_free() -> None:
    """Below the cost of a few empty calls; the ratio holds on a loaded machine, a time does not."""

    def nothing(name: str) -> None:
        pass

    def best(call) -> float:  # type: ignore[no-untyped-def]
        rounds = []
        for _ in range(7):
            start = time.perf_counter()
            for _ in range(20_000):
                call("flush")
            rounds.append(time.perf_counter() - start)
        return min(rounds)

    assert best(failpoint) < 5 * best(nothing)
