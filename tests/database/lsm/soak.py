"""An engine beside a dict, for as long as you like: ``python -m tests.database.lsm.soak 600``.

Every operation in random order and of random size, flushes, compactions, crashes of the file layer
and reopening in between; after each the answers are those of the dict, and a leftover scan gives
what was there when it was begun.
"""

from __future__ import annotations

import argparse
import errno
import random
import shutil
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from meridian.database.lsm import (
    TOMBSTONE,
    EngineFailed,
    LsmEngine,
    LsmOptions,
    WriteBatch,
)
from meridian.testing import FaultyFileSystem

SMALL = LsmOptions(
    memtable_bytes=2_000,
    block_size=256,
    block_cache_bytes=4_096,
    l0_trigger=3,
    l0_stop=6,
    l1_bytes=6_000,
    size_ratio=2,
    max_levels=4,
    target_file_bytes=2_000,
    num_tiers=3,
    fsync=False,
)
"""Everything happens after a few writes."""


_WEIGHTS = {"op_check": 1, "op_reopen": 2, "op_fail": 2, "op_put": 20}


class Soak:
    """One engine, its model, and the operations that change both."""

    def __init__(self, folder: Path, options: LsmOptions, seed: int) -> None:
        self.folder = folder
        self.options = options
        self.rng = random.Random(seed)
        self.fs = FaultyFileSystem()
        self.model: dict[bytes, bytes] = {}
        self.scans: deque[tuple[Iterator[tuple[bytes, bytes]], list[tuple[bytes, bytes]]]] = deque()
        self.counts: Counter[str] = Counter()
        self.engine = LsmEngine(folder, options, fs=self.fs)
        self.loses = options.strategy == "fifo"

    def run(self, duration_s: float) -> Counter[str]:
        """Go on for `duration_s` seconds; how often each operation was made."""
        names = [name for name in dir(self) if name.startswith("op_")]
        weights = [_WEIGHTS.get(name, 10) for name in names]
        end_s = time.monotonic() + duration_s
        try:
            while time.monotonic() < end_s:
                name = self.rng.choices(names, weights)[0]
                getattr(self, name)()
                self.counts[name[3:]] += 1
            self.op_check()
        finally:
            self.fs.heal()
            self.engine.close()
        return self.counts

    # -- operations ------------------------------------------------------------------------------

    def op_put(self) -> None:
        for _ in range(self.rng.randrange(1, 30)):
            key, value = self.key(), self.value()
            self.model[key] = value
            self.engine.put(key, value)

    def op_delete(self) -> None:
        for _ in range(self.rng.randrange(1, 10)):
            key = self.key()
            self.model.pop(key, None)
            self.engine.delete(key)

    def op_put_many(self) -> None:
        pairs = [(self.key(), self.value()) for _ in range(self.rng.randrange(200))]
        self.model.update(pairs)
        self.engine.put_many([key for key, _ in pairs], [value for _, value in pairs])

    def op_delete_many(self) -> None:
        keys = [self.key() for _ in range(self.rng.randrange(20))]
        for key in keys:
            self.model.pop(key, None)
        self.engine.delete_many(keys)

    def op_write(self) -> None:
        batch = WriteBatch()
        for _ in range(self.rng.randrange(50)):
            key, value = self.key(), self.value()
            if self.rng.random() < 0.3:
                batch.delete(key)
                self.model.pop(key, None)
            else:
                batch.put(key, value)
                self.model[key] = value
        self.engine.write(batch)

    def op_freeze(self) -> None:
        self.engine.freeze()

    def op_flush(self) -> None:
        self.engine.flush()

    def op_compact(self) -> None:
        self.engine.compact(full=self.rng.random() < 0.3)

    def op_reopen(self) -> None:
        self.drop_scans()
        self.engine.close()
        self.options = replace(
            self.options,
            bits_per_key=self.rng.choice((1, 5, 10)),
            block_size=self.rng.choice((128, 256, 4096)),
            block_cache_bytes=self.rng.choice((0, 4_096, 1 << 20)),
        )
        self.engine = LsmEngine(self.folder, self.options, fs=self.fs)

    def op_get(self) -> None:
        for _ in range(self.rng.randrange(30)):
            key = self.key()
            self.same(key, self.engine.get(key))

    def op_get_many(self) -> None:
        keys = [self.key() for _ in range(self.rng.randrange(100))]
        for key, found in zip(keys, self.engine.get_many(keys), strict=True):
            self.same(key, found)

    def op_scan(self) -> None:
        low, high = (self.rng.choice((None, self.key())) for _ in range(2))
        limit = self.rng.choice((None, self.rng.randrange(50)))
        self.same_pairs([*self.engine.scan(low, high, limit=limit)], self.pairs(low, high), limit)
        self.same_pairs([*self.engine.scan_columns(low, high).items()], self.pairs(low, high), None)

    def op_seek(self) -> None:
        start = self.key()
        prefix = start[: self.rng.randrange(len(start) + 1)]
        found = self.engine.seek(start, prefix)
        wanted = [p for p in self.pairs(start, None) if p[0].startswith(prefix)][:1]
        if found is None:
            assert self.loses or not wanted, (start, prefix, wanted)
        elif found[1] is TOMBSTONE:
            assert found[0] not in self.model
            assert not wanted or found[0] < wanted[0][0] or self.loses
        else:
            assert self.model[found[0]] == found[1]
            assert self.loses or found == wanted[0]

    def op_leave_a_scan(self) -> None:
        if len(self.scans) < 5:
            scan = self.engine.scan()
            wanted = self.pairs(None, None)
            done = [pair for _, pair in zip(range(self.rng.randrange(20)), scan, strict=False)]
            self.same_pairs(done, wanted, len(done))
            self.scans.append((scan, [pair for pair in wanted if not done or pair > done[-1]]))

    def op_end_a_scan(self) -> None:
        if self.scans:
            scan, wanted = self.scans.popleft()
            if self.rng.random() < 0.7:
                self.same_pairs([*scan], wanted, None)

    def op_fail(self) -> None:
        """The disk fails at some call; nothing is lost, and once it is mended all goes on."""
        op = self.rng.choice(("write", "sync", "rename", "create", "close", "sync_dir"))
        nth = self.rng.randrange(1, 6)
        error = OSError(self.rng.choice((errno.EIO, errno.ENOSPC)), "injected")
        self.fs.fail(op, nth, error, times=self.rng.choice((1, 1, None)))
        with suppress(OSError, EngineFailed):
            for _ in range(3):
                self.put_or_refused(self.key(), self.value())
                self.engine.flush()
            self.engine.compact(full=True)
        self.op_get()
        if self.rng.random() < 0.2:
            self.op_check()
        self.fs.heal()
        self.engine.flush()

    def op_check(self) -> None:
        self.same_pairs([*self.engine.scan()], self.pairs(None, None), None)
        self.engine.check()

    # -- what is used and compared ---------------------------------------------------------------

    def put_or_refused(self, key: bytes, value: bytes) -> None:
        """A put that met a failure is in memory; one that came after it has changed nothing."""
        before = self.model.get(key)
        try:
            self.engine.put(key, value)
        except EngineFailed:
            found = self.engine.get(key)
            assert found in (value, before) or (self.loses and found is None)
            if found == value:
                self.model[key] = value
            raise
        self.model[key] = value

    def key(self) -> bytes:
        number = int(abs(self.rng.gauss(0, 300)))
        return number.to_bytes(self.rng.choice((2, 2, 2, 3)), "big")

    def value(self) -> bytes:
        return self.rng.randbytes(self.rng.choice((0, 1, 10, 40, 40, 300)))

    def pairs(self, low: bytes | None, high: bytes | None) -> list[tuple[bytes, bytes]]:
        return sorted(
            pair
            for pair in self.model.items()
            if (low is None or low <= pair[0]) and (high is None or pair[0] <= high)
        )

    def same(self, key: bytes, found: bytes | None) -> None:
        wanted = self.model.get(key)
        assert found == wanted or (self.loses and found is None), (key, found, wanted)

    def same_pairs(
        self,
        found: list[tuple[bytes, bytes]],
        wanted: list[tuple[bytes, bytes]],
        limit: int | None,
    ) -> None:
        if self.loses:  # whole tables, the oldest first: what is left is right
            assert found == sorted(found)
            assert set(found) <= set(wanted)
        else:
            assert found == wanted[:limit]

    def drop_scans(self) -> None:
        self.scans.clear()


def soak(duration_s: float, seed: int, **options: object) -> Counter[str]:
    """Run one in a folder of its own; how often each operation was made."""
    folder = Path(tempfile.mkdtemp(prefix="meridian-soak-"))
    try:
        chosen = replace(SMALL, **options)  # type: ignore[arg-type]
        counts = Soak(folder / "store", chosen, seed).run(duration_s)
    except BaseException as error:
        error.add_note(f"seed {seed}, {options}, files in {folder}")
        raise
    shutil.rmtree(folder)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--seed", type=int, default=int(np.random.default_rng().integers(2**31)))
    parser.add_argument("--turn", type=float, default=10.0, help="seconds for each engine")
    given = parser.parse_args()
    end_s, seed = time.monotonic() + given.seconds, given.seed
    total: Counter[str] = Counter()
    while time.monotonic() < end_s:
        strategy = ("leveled", "tiered", "leveled", "fifo")[seed % 4]
        background = bool(seed % 3)
        total += soak(
            min(given.turn, end_s - time.monotonic()),
            seed,
            strategy=strategy,
            background=background,
            fifo_bytes=20_000,
        )
        print(f"seed {seed} ({strategy}, background={background}): {sum(total.values()):,} so far")
        seed += 1
    print(dict(total))


if __name__ == "__main__":
    main()
