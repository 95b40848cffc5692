"""The engine against a dict: every operation in every order, each strategy, threads or none."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from meridian.database.lsm import LsmEngine, WriteBatch
from meridian.database.lsm.types import Value
from tests.database.lsm.soak import SMALL, Soak, soak

KEYS = st.one_of(
    st.binary(min_size=1, max_size=2),
    st.integers(0, 40).map(lambda n: n.to_bytes(2, "big")),
    st.sampled_from([b"\0", b"\xff", b"\xff" * 9, b"prefix", b"prefix\0", b"prefiy"]),
)
VALUES = st.binary(max_size=60)


class AgainstADict(RuleBasedStateMachine):
    """Shrinks to the fewest calls that go wrong; `soak` finds what takes thousands."""

    strategy = "leveled"
    background = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="meridian-lsm-"))
        self.model: dict[bytes, bytes] = {}

    @initialize()
    def begin(self) -> None:
        self.options = replace(
            SMALL,
            strategy=self.strategy,
            background=self.background,
            memtable_bytes=200,
            block_size=128,
            target_file_bytes=300,
            l1_bytes=500,
            fifo_bytes=1_500,
        )
        self.engine = LsmEngine(self.folder / "store", self.options)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.close()
        shutil.rmtree(self.folder)

    @property
    def loses(self) -> bool:
        return self.strategy == "fifo"

    # -- writes ----------------------------------------------------------------------------------

    @rule(key=KEYS, value=VALUES)
    def put(self, key: bytes, value: bytes) -> None:
        self.engine.put(key, value)
        self.model[key] = value

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        self.engine.delete(key)
        self.model.pop(key, None)

    @rule(pairs=st.lists(st.tuples(KEYS, VALUES), max_size=30))
    def put_many(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self.engine.put_many([key for key, _ in pairs], [value for _, value in pairs])
        self.model.update(pairs)

    @rule(writes=st.lists(st.tuples(KEYS, st.none() | VALUES), max_size=15))
    def write(self, writes: list[tuple[bytes, bytes | None]]) -> None:
        batch = WriteBatch()
        for key, value in writes:
            if value is None:
                batch.delete(key)
                self.model.pop(key, None)
            else:
                batch.put(key, value)
                self.model[key] = value
        self.engine.write(batch)

    # -- upkeep ----------------------------------------------------------------------------------

    @rule()
    def freeze(self) -> None:
        self.engine.freeze()

    @rule()
    def flush(self) -> None:
        self.engine.flush()
        assert self.engine.stats().memtable_bytes == 0

    @rule(full=st.booleans())
    def compact(self, full: bool) -> None:
        self.engine.compact(full=full)

    @rule()
    def reopen(self) -> None:
        self.engine.close()
        self.engine = LsmEngine(self.folder / "store", self.options)

    @precondition(lambda self: not self.background)
    @rule()
    def check(self) -> None:
        self.engine.check()
        here = {path.name for path in (self.folder / "store").glob("sst_*")}
        assert len(here) == len(self.engine.version.tables)

    # -- reads -----------------------------------------------------------------------------------

    @rule(keys=st.lists(KEYS, max_size=20))
    def get_many(self, keys: list[bytes]) -> None:
        for key, found in zip(keys, self.engine.get_many(keys), strict=True):
            self.same(key, found)
            self.same(key, self.engine.get(key))

    @rule(start=KEYS, length=st.integers(0, 9))
    def seek(self, start: bytes, length: int) -> None:
        prefix = start[:length]
        found = self.engine.seek(start, prefix)
        kept: list[tuple[bytes, Value]] = [*self.engine.scan(start, keep_tombstones=True)]
        assert found == next((pair for pair in kept if pair[0].startswith(prefix)), None)

    @rule(low=st.none() | KEYS, high=st.none() | KEYS, limit=st.none() | st.integers(0, 20))
    def scan(self, low: bytes | None, high: bytes | None, limit: int | None) -> None:
        found = [*self.engine.scan(low, high, limit=limit)]
        wanted = [
            pair
            for pair in sorted(self.model.items())
            if (low is None or pair[0] >= low) and (high is None or pair[0] <= high)
        ]
        if self.loses:
            assert found == sorted(found)
            assert set(found) <= set(wanted)
        else:
            assert found == wanted[:limit]

    @invariant()
    def everything(self) -> None:
        if hasattr(self, "engine"):
            found = dict(self.engine.scan_columns().items())
            if self.loses:
                assert found.items() <= self.model.items()
            else:
                assert found == self.model

    def same(self, key: bytes, found: bytes | None) -> None:
        wanted = self.model.get(key)
        assert found == wanted or (self.loses and found is None)


@pytest.mark.parametrize("background", [False, True], ids=["inline", "background"])
@pytest.mark.parametrize("strategy", ["leveled", "tiered", "fifo"])
def test_against_a_dict(strategy: str, background: bool) -> None:
    machine = type("Machine", (AgainstADict,), {"strategy": strategy, "background": background})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=8, stateful_step_count=25, deadline=None)
    )


@pytest.mark.parametrize(
    ("strategy", "background", "seed"),
    [
        ("leveled", False, 1),
        ("leveled", True, 2),
        ("tiered", False, 3),
        ("tiered", True, 4),
        ("fifo", True, 5),
    ],
)
def test_a_short_soak(strategy: str, background: bool, seed: int) -> None:
    counts = soak(1.0, seed, strategy=strategy, background=background, fifo_bytes=20_000)
    assert counts.total() > 20


def test_the_soak_notices_a_lost_write(tmp_path: Path) -> None:
    """A model that nothing could contradict would prove nothing."""
    run = Soak(tmp_path / "store", SMALL, 6)
    run.model[b"never put"] = b"?"
    with pytest.raises(AssertionError):
        run.op_check()
    run.engine.close()
