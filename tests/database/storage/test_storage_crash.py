"""A child process is killed without warning; what it wrote is there, what is torn is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from meridian.database.storage import (
    ChecksumMismatch,
    FileLocked,
    PageFile,
    PageManager,
    RecordId,
)

CHILD = """
import sys
from meridian.database.storage import PageManager, RecordId
heap = PageManager(sys.argv[1], frames=4)
say = lambda word: (sys.stdout.write(word + "\\n"), sys.stdout.flush())
for i in range(200):
    heap.insert(b"first %d" % i * 10)
heap.flush(sync=True)
for page_id in range(1, 4):
    heap.delete(RecordId(page_id, 0))
big = heap.insert(bytes(20000))
heap.delete(big)
say("ready")
i = 0
while True:
    heap.insert(b"second %d" % i * 10)
    i += 1
    if i == 300:
        say("busy")
"""


def run_and_kill(path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"ready\n"
        with pytest.raises(FileLocked):
            PageFile(path)
        assert child.stdout.readline() == b"busy\n"
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait(20)
        child.stdout.close()


def test_killed_between_flushes(path: Path) -> None:
    run_and_kill(path)
    with PageManager(path, frames=4) as heap:
        assert heap.file.was_clean is False
        assert heap.damaged == ()
        records = dict(heap.iter_records())
        kept = {record for record in records.values() if record.startswith(b"first")}
        # All that the flush wrote, but at most the three that were deleted after it.
        flushed = {b"first %d" % i * 10 for i in range(200)}
        assert kept <= flushed
        assert len(flushed - kept) <= 3
        free = heap.file.free_count
        used = {rid.page_id for rid in records}
        new = {heap.insert(os.urandom(4000)).page_id for _ in range(free + 3)}
        assert not used & new, "a page in use was handed out again"
        assert {rid: heap.get(rid) for rid in records} == records
    with PageManager(path) as heap:
        assert heap.file.was_clean is True


def test_killed_and_torn(path: Path) -> None:
    """The power went, too: half of a page is old. It is reported; all others are read."""
    run_and_kill(path)
    raw = bytearray(path.read_bytes())
    raw[2 * 4096 + 2048 : 3 * 4096] = bytes(2048)
    path.write_bytes(raw)
    with PageManager(path) as heap:
        assert heap.damaged == (2,)
        with pytest.raises(ChecksumMismatch):
            heap.get(RecordId(2, 1))
        assert heap.get(RecordId(1, 1)) == b"first 1" * 10
        rid = heap.insert(b"new")
        assert rid.page_id != 2
        assert heap.get(rid) == b"new"
