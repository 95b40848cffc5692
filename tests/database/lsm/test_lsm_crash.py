"""Killed without warning at every point that matters; what was flushed is there, once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from meridian.database.lsm import LsmEngine, LsmOptions

POINTS = (
    "flush.after_sst",
    "commit.after_tmp",
    "commit.after_rename",
    "compact.after_outputs",
    "compact.before_unlink",
)
CASES = [
    (point, strategy, background)
    for point in POINTS
    for strategy, background in (("leveled", False), ("leveled", True), ("tiered", False))
]
# One interpreter forks for every case, for starting one takes longer than dying. Each child says in
# a file of its own what a flush has made durable, before anything else is done.
CHILDREN = """
import os, sys
from meridian.database.lsm import LsmEngine, LsmOptions
from meridian.fs import arm

def live(folder, point, strategy, background):
    arm(point, 3 if point.startswith("compact") else 7)
    said = os.open(folder + ".said", os.O_WRONLY | os.O_CREAT)
    engine = LsmEngine(folder, LsmOptions(
        memtable_bytes=1 << 30, l0_trigger=2, num_tiers=2, target_file_bytes=2_000, block_size=256,
        strategy=strategy, background=background, fsync=False,  # the system survives
    ))
    for turn in range(100):
        for i in range(60):
            key = b"%03d" % ((turn * 37 + i * 7) % 200)
            if i % 9 == 4:
                engine.delete(key)
            else:
                engine.put(key, b"%d of turn %d" % (i, turn))
        engine.flush()
        os.write(said, b".")

with LsmEngine(os.path.join(sys.argv[1], "kernels")) as engine:  # loaded before there are children
    for _ in range(2):
        engine.put(b"k", b"v")
        engine.delete(b"l")
        engine.flush()
    engine.compact(full=True)
    engine.get(b"k")

for case in sys.argv[2:]:
    point, strategy, background = case.split(",")
    child = os.fork()
    if not child:
        try:
            live(os.path.join(sys.argv[1], case), point, strategy, background == "True")
        finally:
            os._exit(1)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def state_after(turns: int) -> dict[bytes, bytes]:
    model: dict[bytes, bytes] = {}
    for turn in range(turns):
        for i in range(60):
            key = b"%03d" % ((turn * 37 + i * 7) % 200)
            if i % 9 == 4:
                model.pop(key, None)
            else:
                model[key] = b"%d of turn %d" % (i, turn)
    return model


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what each case left behind."""
    folder = tmp_path_factory.mktemp("killed")
    names = [name_of(*case) for case in CASES]
    done = subprocess.run(
        [sys.executable, "-c", CHILDREN, str(folder), *names], capture_output=True, timeout=200
    )
    assert done.returncode == 0, done.stderr.decode()
    statuses = list(map(int, done.stdout.split()))
    assert statuses == [signal.SIGKILL] * len(CASES), done.stderr.decode()
    return folder


def name_of(point: str, strategy: str, background: bool) -> str:
    return f"{point},{strategy},{background}"


@pytest.mark.parametrize(("point", "strategy", "background"), CASES)
def test_killed_at(killed: Path, point: str, strategy: str, background: bool) -> None:
    folder = killed / name_of(point, strategy, background)
    turns = folder.with_name(f"{folder.name}.said").stat().st_size
    assert turns >= 2
    for opening in range(2):
        with LsmEngine(folder, LsmOptions(l0_trigger=2, strategy=strategy)) as engine:
            found = dict(engine.scan())
            # All that was acknowledged; of the flush under way, all or nothing.
            assert found in (state_after(turns), state_after(turns + 1))
            assert [engine.get(key) for key in sorted(found)] == [found[k] for k in sorted(found)]
            assert not any(engine.get(b"%03d" % n) for n in range(200) if b"%03d" % n not in found)
            engine.check()
            listed = {f"sst_{meta.sst_id:06d}.dat" for meta in engine.version.tables}
        here = {path.name for path in folder.iterdir()}
        assert here - {"LOCK", "LSMSTATE", "LSMSTATE.tmp"} == listed, f"opening {opening}"
    with LsmEngine(folder, LsmOptions(strategy=strategy)) as engine:  # and it goes on
        engine.put(b"new", b"1")
        engine.flush()
        engine.compact(full=True)
        assert dict(engine.scan()) == found | {b"new": b"1"}


def test_what_was_not_flushed_dies_with_the_process(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from meridian.database.lsm import LsmEngine
engine = LsmEngine(sys.argv[1])
engine.put(b"flushed", b"1")
engine.flush()
engine.put(b"in memory", b"2")
os.kill(os.getpid(), signal.SIGKILL)
"""
    child = [sys.executable, "-c", script, str(tmp_path / "store")]
    assert subprocess.run(child, timeout=120).returncode == -signal.SIGKILL
    with LsmEngine(tmp_path / "store") as engine:  # the lock died, too
        assert [*engine.scan()] == [(b"flushed", b"1")]
