"""Wrong LSM engines: the traps of the lessons, and what has gone wrong in real ones."""

from __future__ import annotations

from grader.acceptance.database.mutants_lsm_bonus import BONUS
from grader.authoring.mutants import Change, Proof, Variant

_PUT = (
    "            self.size_bytes += len(value) - (0 if old is TOMBSTONE else len(old))"
    "  # type: ignore[arg-type]\n"
)

MUTANTS = (
    # -- 2: the memtable
    Variant(
        "counts_overwrites_again",  # a hot key fills the memtable: phantom flushes
        "2",
        (Change("memtable.py", _PUT, "            self.size_bytes += len(key) + len(value)\n"),),
    ),
    Variant(
        "counts_values_alone",  # the keys are forgotten: fewer, larger tables
        "2",
        (
            Change(
                "memtable.py",
                "            self.size_bytes += len(key) + len(value)\n        else:",
                "            self.size_bytes += len(value)\n        else:",
            ),
        ),
    ),
    # -- 3: tables and lookups
    Variant(
        "last_block_under_the_previous_key",  # the text's builder: its last block is lost
        "3",
        (
            Change(
                "sstable.py",
                "        self._finish_block()\n        bloom",
                "        self._keys.append(self._handles[-1].last_key if self._handles else b'')\n"
                "        self._finish_block()\n"
                "        self._keys.pop()\n"
                "        bloom",
            ),
        ),
    ),
    Variant(
        "last_block_forgotten",
        "3",
        (
            Change(
                "sstable.py",
                "        self._finish_block()\n        bloom",
                "        self._finish_block() if not self._handles else None\n        bloom",
            ),
        ),
    ),
    Variant(
        "empty_is_deleted",  # b"" is taken for no value
        "3",
        (
            Change(
                "lsm.py",
                "return found if isinstance(found, bytes) else None",
                "return found if isinstance(found, bytes) and found else None",
            ),
        ),
    ),
    Variant(
        "duplicates_accepted",
        "3",
        (Change("sstable.py", "if keys and key <= keys[-1]:", "if keys and key < keys[-1]:"),),
    ),
    Variant(
        "leaves_half_a_file",
        "3",
        (
            Change(
                "sstable.py",
                "            self.abort()\n            raise OutOfOrder",
                "            raise OutOfOrder",
            ),
        ),
    ),
    # -- 4: filters
    Variant(
        "builtin_hash",  # salted: a filter from the disk denies its keys
        "4",
        (
            Change(
                "bloom.py",
                "    first, second = _PAIR.unpack(hashlib.blake2b(key, digest_size=16).digest())\n",
                "    first, second = hash(key) % 2**61, hash((key, 1)) % 2**61\n",
            ),
        ),
    ),
    Variant(
        "too_few_probes",  # twice as many false positives
        "4",
        (Change("bloom.py", "math.ceil(0.693 * bits_per_key)", "math.ceil(0.3 * bits_per_key)"),),
    ),
    Variant(
        "filter_says_maybe",  # skips nothing
        "4",
        (Change("sstable.py", "if not self.bloom.may_contain(key):", "if key == b'':"),),
    ),
    Variant(
        "filter_of_the_file_is_empty",  # every bit is set on reading
        "4",
        (
            Change(
                "bloom.py",
                "bytearray(raw[HEAD.size :])",
                "bytearray(b'\\xff' * len(raw[HEAD.size :]))",
            ),
        ),
    ),
    Variant(
        "skips_are_not_counted",
        "4",
        (Change("sstable.py", "            counters.bloom_skipped += 1\n", ""),),
    ),
    # -- 5: deletes
    Variant(
        "delete_removes_the_row",  # no tombstone: what lies in a file comes back
        "5",
        (
            Change(
                "lsm.py",
                "        memtable.delete(key)\n",
                "        memtable._rows.pop(key, None)\n",
            ),
        ),
    ),
    Variant(
        "two_valued_get",  # a tombstone is "not found here": the next place is asked
        "5",
        (
            Change(
                "lsm.py",
                "found: Found = memtable.get(key)\n            if found is not MISSING:",
                "found: Found = memtable.get(key)\n            if isinstance(found, bytes):",
            ),
        ),
    ),
    Variant(
        "close_forgets_the_memtable",
        "5",
        (
            Change(
                "lsm.py",
                "            if self._failed is None:\n                self.flush()\n",
                "            pass\n",
            ),
        ),
    ),
    # -- 6: compaction
    Variant(
        "oldest_wins",  # level 0 goes into the merge with its oldest table first
        "6",
        (Change("compaction.py", "((*levels[0], *over", "((*levels[0][::-1], *over"),),
    ),
    Variant(
        "tombstones_dropped_too_early",  # every compaction is taken for the last
        "6",
        (
            Change(
                "compaction.py",
                "            table.min_key <= key <= table.max_key for table in older\n",
                "            table.min_key > table.max_key for table in older\n",
            ),
        ),
    ),
    Variant(
        "deeper_levels_forgotten",  # the rows are right, the engine asks for too little
        "6",
        (
            Change(
                "lsm.py",
                "self._state.levels[task.output_level + 1 :]",
                "self._state.levels[task.output_level + 9 :]",
            ),
        ),
    ),
    Variant(
        "tombstones_for_ever",
        "6",
        (
            Change(
                "compaction.py",
                "        if isinstance(value, Tombstone) and not any(",
                "        if isinstance(value, Tombstone) and False and not any(",
            ),
        ),
    ),
    Variant(
        "always_the_first_table",  # the same key range is rewritten for ever
        "6",
        (Change("compaction.py", "(t for t in tables if t.min_key > turn)", "iter(tables)"),),
    ),
    Variant(
        "level_one_left_out",  # tables of level 1 overlap: older values may be read first
        "6",
        (
            Change(
                "compaction.py",
                "CompactionTask((*levels[0], *overlapping(levels[0], below[1])), 1)",
                "CompactionTask(tuple(levels[0]), 1)",
            ),
        ),
    ),
    Variant(
        "old_files_stay",
        "6",
        (Change("lsm.py", "            os.unlink(table.path)\n\n", "            pass\n\n"),),
    ),
    Variant(
        "fifth_flush",  # one table more than the trigger says
        "6",
        (Change("compaction.py", "len(levels[0]) >= l0_trigger:", "len(levels[0]) > l0_trigger:"),),
    ),
    # -- 7: scans
    Variant(
        "little_endian_keys",  # 256 sorts before 255
        "7",
        (
            Change("keys.py", 'norad_id.to_bytes(4, "big")', 'norad_id.to_bytes(4, "little")'),
            Change("keys.py", 'int.from_bytes(key, "big")', 'int.from_bytes(key, "little")'),
        ),
    ),
    Variant(
        "stale_values_in_scans",  # files before the memtable
        "7",
        (
            Change(
                "lsm.py",
                "merge_iterator([*memory, *files])",
                "merge_iterator([*files, *memory])",
            ),
        ),
    ),
    Variant(
        "end_is_left_out",
        "7",
        (
            Change(
                "lsm.py",
                "        return merge_iterator([*memory, *files])",
                "        merged = merge_iterator([*memory, *files])\n"
                "        return (row for row in merged if row[0] != end)",
            ),
        ),
    ),
    Variant(
        "scan_begins_late",  # the state is taken at the first next()
        "7",
        (
            Change(
                "lsm.py",
                "        return merge_iterator([*memory, *files])  # type: ignore[return-value]\n",
                "        yield from merge_iterator([*memory, *files])\n",
            ),
        ),
    ),
    Variant(
        "files_closed_under_a_scan",
        "7",
        (
            Change(
                "lsm.py",
                "            os.unlink(table.path)\n\n",
                "            os.unlink(table.path)\n            table.close()\n\n",
            ),
        ),
    ),
    # -- 8: the acceptance run
    Variant(
        "other_figures_every_time",
        "8",
        (Change("acceptance.py", "rng = random.Random(44)", "rng = random.Random()"),),
    ),
    Variant(
        "keeps_the_old_folder",
        "8",
        (Change("acceptance.py", "        shutil.rmtree(path)\n", "        pass\n"),),
    ),
    Variant(
        "rates_by_the_formula",  # nothing was measured
        "8",
        (Change("acceptance.py", "    return hits / STRANGERS\n", "    return 0.01\n"),),
    ),
    *BONUS,
)

# Judged by the race: rows wait in a dict, and neither put nor flush writes them.
LATE = Variant(
    "writes_later",
    "1",
    (
        Change(
            "lsm.py", '        self._turn = b""\n', '        self._turn, self._late = b"", {}\n'
        ),
        Change(
            "lsm.py",
            "        memtable.put(key, value)\n",
            "        self._late[key] = value\n"
            "        if len(key) == 4:\n"
            "            return\n"
            "        memtable.put(key, value)\n",
        ),
        Change(
            "lsm.py",
            "        self.counters.gets += 1\n",
            "        self.counters.gets += 1\n"
            "        if key in self._late:\n"
            "            return self._late[key]\n",
        ),
    ),
)

# Judged by the race as well: every put looks at some thousand rows.
SLOW = Variant(
    "work_at_every_put",
    "1",
    (
        Change(
            "memtable.py",
            "        rows[key] = value\n",
            "        rows[key] = value\n        sum(range(4_000))\n",
        ),
    ),
)

PROOF = Proof(
    MUTANTS,
    races=(SLOW, LATE),
    quick={
        "grader.acceptance.database._lsm_tables:MEMBERS": 20_000,
        "grader.acceptance.database._lsm_engine:OVERWRITES": 60_000,
        "grader.acceptance.database._lsm_engine:SCANNED": 20_000,
        "grader.acceptance.database._lsm_run:RECORDS": 10_000,
        "grader.acceptance.database._lsm_run:ROUNDS": 8,
    },
    race_points=5,
)
