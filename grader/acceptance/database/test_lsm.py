"""Acceptance of database/03-lsm, criterion by criterion.

A docstring is the category that a learner sees. The judge lists the files itself and reads what
lies in them; of a table's inner format it knows only the name and the last eight bytes, so that
an answer with blocks, index or filter of its own is judged alike.
"""

from __future__ import annotations

# The order of these names is the order of the tests, and so of what a learner is told first.
# isort: off
from grader.acceptance.database._lsm_tables import (
    test_a_memtable_knows_its_size,
    test_a_table_gives_back_its_rows,
    test_keys_must_ascend,
    test_filters,
    test_a_filter_in_another_process,
    test_absent_keys_are_skipped,
)
from grader.acceptance.database._lsm_engine import (
    test_two_tables,
    test_overwrites_make_no_file,
    test_what_was_put_is_found,
    test_the_ends_of_every_table,
    test_a_deleted_key_stays_deleted,
    test_unknown_keys_may_be_deleted,
    test_keys_sort_as_numbers,
    test_scan_of_a_range,
    test_a_scan_sees_its_moment,
)
from grader.acceptance.database._lsm_compaction import (
    test_the_fourth_flush_compacts,
    test_at_the_bottom_nothing_is_left,
    test_tombstones_that_still_hide,
    test_what_is_chosen,
    test_nothing_comes_back,
    test_tiers,
)
from grader.acceptance.database._lsm_run import (
    test_ingest_at_half_the_target,
    test_ingest_speed,
    test_the_acceptance_run,
    test_the_same_run_twice,
)
from grader.acceptance.database._lsm_bonus import (
    test_a_thread_flushes,
    test_blocks_are_kept,
    test_killed_at_any_fsync,
    test_prefixes,
)

# isort: on

__all__ = [
    "test_a_memtable_knows_its_size",
    "test_a_table_gives_back_its_rows",
    "test_keys_must_ascend",
    "test_filters",
    "test_a_filter_in_another_process",
    "test_absent_keys_are_skipped",
    "test_two_tables",
    "test_overwrites_make_no_file",
    "test_what_was_put_is_found",
    "test_the_ends_of_every_table",
    "test_a_deleted_key_stays_deleted",
    "test_unknown_keys_may_be_deleted",
    "test_keys_sort_as_numbers",
    "test_scan_of_a_range",
    "test_a_scan_sees_its_moment",
    "test_the_fourth_flush_compacts",
    "test_at_the_bottom_nothing_is_left",
    "test_tombstones_that_still_hide",
    "test_what_is_chosen",
    "test_nothing_comes_back",
    "test_tiers",
    "test_ingest_at_half_the_target",
    "test_ingest_speed",
    "test_the_acceptance_run",
    "test_the_same_run_twice",
    "test_a_thread_flushes",
    "test_blocks_are_kept",
    "test_killed_at_any_fsync",
    "test_prefixes",
]
