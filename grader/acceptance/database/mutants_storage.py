"""Wrong page managers: what has gone wrong in real engines, or in drafts of this one."""

from __future__ import annotations

from grader.acceptance.database.mutants_storage_races import CHEATS
from grader.authoring.mutants import Change, Proof, Variant

_REFUSES = "if offset < HEADER_SIZE + SLOT_SIZE * count"

MUTANTS = (
    # -- 1: page I/O
    Variant(
        "lost_free_list",  # the list lives in memory only
        "1",
        (
            Change(
                "page_file.py",
                "counts = (self.page_count, self._free_head, self.free_count, int(clean))",
                "counts = (self.page_count, 0, 0, int(clean))",
            ),
        ),
    ),
    Variant(
        "padded_tail",  # a short read is filled up with zeros
        "1",
        (
            Change(
                "page_file.py",
                "raise TruncatedFile(self.path, start + done, start + self.page_size)",
                "target[done:] = bytes(self.page_size - done); break",
            ),
        ),
    ),
    Variant(
        "negative_page_ids",  # only the upper end is checked
        "1",
        (
            Change(
                "page_file.py",
                "if not 1 <= page_id < self.page_count:",
                "if not page_id < self.page_count:",
            ),
        ),
    ),
    # -- 2: checksums
    Variant(
        "stale_checksum",  # a page found good once is trusted for ever
        "2",
        (
            Change(
                "page_file.py",
                "        if verify:\n            verify_page(into, page_id)\n",
                '        seen = self.__dict__.setdefault("_seen", set())\n'
                "        if verify and page_id not in seen:\n"
                "            verify_page(into, page_id)\n"
                "            seen.add(page_id)\n",
            ),
        ),
    ),
    Variant(
        "body_only_checksum",  # as the lesson's first draft: the header is not covered
        "2",
        (
            Change(
                "page.py",
                "zlib.crc32(view[HEADER_SIZE:], zlib.crc32(view[:CHECKSUM_AT]))",
                "zlib.crc32(view[HEADER_SIZE:])",
            ),
        ),
    ),
    Variant(
        "misdirected_accepted",  # a whole page is taken for any page
        "2",
        (Change("page.py", "if found != page_id:", "if found < 0:"),),
    ),
    # -- 3: buffer pool
    Variant(
        "pin_leak",  # an exception in the block keeps the pin
        "3",
        (
            Change(
                "buffer_pool.py",
                "    def __exit__(self, *exc: object) -> None:\n",
                "    def __exit__(self, *exc: object) -> None:\n        if exc[0]: return\n",
            ),
        ),
    ),
    Variant(
        "unsealed_dirty_page",  # eviction writes with the raw call
        "3",
        (
            Change(
                "buffer_pool.py",
                "self._write_back(frame)  # if this",
                "self.file._write_raw(self._page_ids[frame], self._frames[frame]); "
                "self._dirty[frame] = 0  # if this",
            ),
        ),
    ),
    Variant(
        "evicts_pinned",  # CLOCK takes a pinned frame
        "3",
        (Change("buffer_pool.py", "            if pins[frame]:\n                continue\n", ""),),
    ),
    Variant(
        "lru_is_fifo",  # a hit does not count as use
        "3",
        (
            Change(
                "buffer_pool.py",
                "self.hit = self._order.move_to_end",
                "self.hit = self._order.__contains__",
            ),
        ),
    ),
    Variant(
        "clock_hand_stays",  # the hand does not move past its victim
        "3",
        (
            Change(
                "buffer_pool.py",
                "                return frame\n",
                "                self._hand = frame; return frame\n",
            ),
        ),
    ),
    Variant(
        "half_loaded_frame",  # the page is mapped before it was read
        "3",
        (
            Change(
                "buffer_pool.py",
                "            self.file.read_page(page_id, self._frames[frame])\n",
                "            self._table[page_id] = frame\n"
                "            self.file.read_page(page_id, self._frames[frame])\n",
            ),
        ),
    ),
    # -- 4: insert and lookup
    Variant(
        "designator_keeps_its_padding",
        "4",
        (Change("tle.py", 'designator.rstrip(b"\\0").decode', "designator.decode"),),
    ),
    Variant(
        "big_endian_elements",
        "4",
        (Change("tle.py", 'struct.Struct("<I8s8dHI")', 'struct.Struct(">I8s8dHI")'),),
    ),
    # -- 5: delete and compact
    Variant(
        "slot_ids_move",  # compaction numbers the survivors anew
        "5",
        (
            Change(
                "page.py",
                "        for slot, size, record in kept:\n"
                "            flag = OVERFLOW_BIT if self._is_overflow(slot) else 0\n",
                "        count = len(kept)\n"
                "        for slot, (_, size, record) in enumerate(kept):\n"
                "            flag = 0\n",
            ),
        ),
    ),
    Variant(
        "stale_bytes",  # compaction leaves deleted records on disk
        "5",
        (Change("page.py", "        self.buf[end:start] = bytes(start - end)\n", ""),),
    ),
    Variant(
        "aba",  # reuse_slots=False is ignored: a deleted id answers with another satellite
        "5",
        (Change("page_manager.py", "self._reuse_slots = reuse_slots", "self._reuse_slots = True"),),
    ),
    Variant(
        "last_tombstone_first",  # not the lowest slot is used again
        "5",
        (Change("page.py", ".find(DEAD)", ".rfind(DEAD)"),),
    ),
    # -- 6: a full page
    Variant(
        "off_by_one_capacity",  # one byte too many is accepted: the record overlaps its slot
        "6",
        (Change("page.py", f"{_REFUSES}:", f"{_REFUSES} - 1:"),),
    ),
    Variant(
        "exact_fit_refused",
        "6",
        (Change("page.py", "if offset < HEADER_SIZE", "if offset <= HEADER_SIZE"),),
    ),
    Variant(
        "refusal_scribbles",  # as much as fits is copied before the record is known not to fit
        "6",
        (
            Change(
                "page.py",
                f"        {_REFUSES}:\n",
                f"        {_REFUSES}:\n"
                "            end = HEADER_SIZE + SLOT_SIZE * count\n"
                "            size = max(0, start - end)\n"
                "            buf[end : end + size] = bytes(record)[:size]\n",
            ),
        ),
    ),
    Variant(
        "reuse_costs_a_slot",  # four bytes are asked for although the slot exists
        "6",
        (
            Change(
                "page.py", f"{_REFUSES}:", f"{_REFUSES} + SLOT_SIZE * (reuse_slots and found >= 0):"
            ),
        ),
    ),
    # -- 7: the acceptance run
    Variant(
        "prints_addresses",
        "7",
        (Change("acceptance.py", "    print(", "    print(hex(id(report)), "),),
    ),
    Variant(
        "keeps_the_old_file",  # a second run over the same file counts other misses
        "7",
        (Change("acceptance.py", "        os.unlink(path)\n", "        pass\n"),),
    ),
)

# Judged by the race: a hit that walks over all frames.
SLOW_HITS = Variant(
    "slow_hits",
    "8",
    (
        Change(
            "buffer_pool.py",
            "self.hit = self._order.move_to_end",
            "self.hit = lambda frame: list(self._order).index(frame) "
            "or self._order.move_to_end(frame)",
        ),
    ),
)

# Judged by the race as well: what was inserted is answered from a dict, past the pool.
MEMO = Variant(
    "memo_beside_the_pool",
    "8",
    (
        Change(
            "page_manager.py",
            "copy the slot's bytes out\n",
            "copy the slot's bytes out\n"
            '        memo = self.__dict__.setdefault("_memo", {})\n'
            "        if rid in memo:\n"
            "            return memo[rid]\n",
        ),
        Change(
            "page_manager.py",
            "        return bytes(record)\n        ### END",
            "        memo[rid] = bytes(record)\n        return memo[rid]\n        ### END",
        ),
    ),
)

PROOF = Proof(
    MUTANTS,
    races=(SLOW_HITS, MEMO, *CHEATS),
    adapter="tests/grader/adapters/database_01_storage",
    quick={
        "grader.acceptance.database._storage_pool:TRACE_STEPS": 400,
        "grader.acceptance.database._storage_pages:FLIPS": 200,
        "grader.acceptance.database._storage_run:BATCH": 500,
        "grader.acceptance.database._storage_run:ROUNDS": 8,
    },
    race_points=7,
)
