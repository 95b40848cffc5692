"""Wrong answers to the bonuses of the LSM engine."""

from __future__ import annotations

from grader.authoring.mutants import Change, Variant

__all__ = ["BONUS"]

BONUS = (
    Variant(
        "thread_that_is_none",  # the option is accepted and nothing is done
        "thread",
        (Change("lsm.py", "        self._thread.start()\n", "        self._thread = None\n"),),
    ),
    Variant(
        "frozen_is_not_read",  # between memtable and file, records are nowhere
        "thread",
        (
            Change(
                "lsm.py",
                "        for memtable in (state.memtable, *state.frozen):\n",
                "        for memtable in (state.memtable,):\n",
            ),
        ),
    ),
    Variant(
        "cache_without_end",
        "cache",
        (
            Change(
                "cache.py",
                "while self.size_bytes > self.capacity_bytes:",
                "while self.size_bytes < 0:",
            ),
        ),
    ),
    Variant(
        "cache_that_never_hits",
        "cache",
        (
            Change(
                "cache.py",
                "            self._blocks[sst_id, offset] = block\n",
                "            self._blocks[sst_id, -offset - 1] = block\n",
            ),
        ),
    ),
    Variant(
        "inputs_go_first",  # unlinked before the manifest names their successors
        "crash",
        (
            Change(
                "lsm.py",
                "        with self._change:\n            memtable, frozen, before = self._state\n",
                "        for table in inputs:\n"
                "            os.unlink(table.path)\n"
                "        with self._change:\n            memtable, frozen, before = self._state\n",
            ),
            Change("lsm.py", "            os.unlink(table.path)\n\n", "            pass\n\n"),
        ),
    ),
    Variant(
        "orphans_stay",
        "crash",
        (Change("lsm.py", "            if name not in known:\n", "            if name in ():\n"),),
    ),
    Variant(
        "manifest_before_the_table",  # listed, and not yet there
        "crash",
        (
            Change(
                "lsm.py",
                "        (table,) = self._write(iter(oldest.items()))\n",
                "        old = self._state.levels\n"
                "        levels = [[t.meta.sst_id for t in level] for level in old] or [[]]\n"
                "        levels[0].insert(0, self._next_id)\n"
                "        self._manifest.commit(self._next_id + 1, levels)\n"
                "        (table,) = self._write(iter(oldest.items()))\n",
            ),
        ),
    ),
    Variant(
        "older_runs_forgotten",  # a tombstone is dropped beside the run that it hides a row of
        "tiered",
        (Change("lsm.py", "order[last + 1 :]", "order[len(order) :]"),),
    ),
    Variant(
        "all_runs_at_once",  # however large the old ones are
        "tiered",
        (
            Change(
                "compaction.py",
                "(width < 2 or runs[width].size_bytes <= size)",
                "(width < 2 or runs[width].size_bytes >= 0)",
            ),
        ),
    ),
    Variant(
        "prefix_of_the_whole_key",
        "prefix",
        (
            Change(
                "bloom.py", "self.filter.insert(key[: self.prefix_len])", "self.filter.insert(key)"
            ),
        ),
    ),
)
