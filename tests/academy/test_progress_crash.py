"""The progress file under SIGKILL, several writers, and a disk that refuses."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from meridian.academy.curriculum import load
from meridian.academy.progress import ProgressBusy, ProgressStore
from meridian.academy.progress_file import ProgressFile
from meridian.academy.progress_records import Record
from meridian.fs import OsFileSystem, OsLogFile

ROOT = Path(__file__).resolve().parents[2]
LESSON = "database/01-storage/1"
POINTS = [f"progress.{p}" for p in ("create", "write", "sync", "rename", "sync_dir")]

# Says how many attempts are on record after each one that returned.
WRITER = """
import sys
from meridian.academy.progress import ProgressStore
store = ProgressStore(sys.argv[1])
for _ in range(int(sys.argv[2])):
    store.record_quiz("database/01-storage/1", 3, 5, "digest")
    print("done", flush=True)
"""


def writer(path: Path, times: int, failpoint: str = "") -> subprocess.Popen[str]:
    env = {**os.environ, "MERIDIAN_LAB": str(ROOT)}
    env.pop("MERIDIAN_FAILPOINT", None)
    if failpoint:
        env["MERIDIAN_FAILPOINT"] = failpoint
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(times)],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def store(tmp_path: Path) -> ProgressStore:
    return ProgressStore(tmp_path / "progress.json", curriculum=load(ROOT))


def attempts(store: ProgressStore) -> int:
    lesson = store.record().lessons.get(LESSON)
    return lesson.attempts if lesson else 0


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("nth", [1, 3])
def test_a_kill_at_any_point_loses_nothing_that_was_acknowledged(
    store: ProgressStore, point: str, nth: int
) -> None:
    with writer(store.path, 5, f"{point}:{nth}:kill") as child:
        acknowledged = child.communicate(timeout=60)[0].count("done")
    assert child.returncode == -signal.SIGKILL
    assert acknowledged == nth - 1
    survived = attempts(store)
    assert survived in (acknowledged, nth)  # the old record or the new one, whole
    store.record_quiz(LESSON, 3, 5, "digest")  # and the next writer is not in the way of a ghost
    assert attempts(store) == survived + 1
    left = sorted(path.name for path in store.path.parent.iterdir())
    assert left == ["progress.json", "progress.json.lock"]


def test_writers_in_several_processes_lose_no_update(store: ProgressStore) -> None:
    children = [writer(store.path, 20) for _ in range(3)]
    for _ in range(20):
        store.record_quiz(LESSON, 3, 5, "digest")
        assert attempts(store) >= 1  # a reader in between always finds a whole file
    for child in children:
        assert child.communicate(timeout=120)[0].count("done") == 20
        assert child.returncode == 0
    assert attempts(store) == 80


class BrokenFile:
    """A log file of which one call fails."""

    def __init__(self, file: OsLogFile, call: str) -> None:
        self.file = file
        self.call = call

    def write(self, data: bytes) -> int:
        if self.call == "write":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def sync(self) -> None:
        if self.call == "sync":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.file.sync()

    def close(self) -> None:
        self.file.close()


class BrokenDisk(OsFileSystem):
    """A file system of which one call fails."""

    def __init__(self, call: str) -> None:
        self.call = call

    def create(self, path: str) -> BrokenFile:
        return BrokenFile(super().create(path), self.call)

    def rename(self, old: str, new: str) -> None:
        if self.call == "rename":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        super().rename(old, new)


@pytest.mark.parametrize("call", ["write", "sync", "rename"])
def test_a_disk_that_refuses_is_an_error_and_the_record_stays(
    store: ProgressStore, call: str
) -> None:
    store.record_quiz(LESSON, 3, 5, "digest")
    before = store.path.read_bytes()
    faulty = ProgressStore(store.path, curriculum=store.curriculum, fs=BrokenDisk(call))
    with pytest.raises(OSError, match=r"No space left|Input/output error|Permission denied"):
        faulty.record_quiz(LESSON, 5, 5, "digest")
    assert store.path.read_bytes() == before
    store.record_quiz(LESSON, 5, 5, "digest")
    assert attempts(store) == 2


def test_a_writer_that_holds_the_lock_for_good_is_named_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    ProgressFile(path).write(Record())
    with (
        ProgressFile(path).locked(),
        pytest.raises(ProgressBusy, match=r"for 0 s\. Is a `meridian` command suspended") as caught,
        ProgressFile(path, patience_s=0.0).update(),
    ):
        pass
    assert isinstance(caught.value, TimeoutError)
    assert ProgressFile(path).read() == Record()  # a reader never waits
    with ProgressFile(path, patience_s=0.0).update() as record:
        assert record == Record()
