"""Acceptance of database/01-storage, criterion by criterion.

A docstring is the category that a learner sees. Files are judged from outside: the judge reads
and damages them itself, with its own reading of the page format. Criteria stand alone: the page
file is judged without pool and checksum, the slotted page on a bare buffer, and so on.
"""

from __future__ import annotations

# The order of these names is the order of the tests, and so of what a learner is told first.
# isort: off
from grader.acceptance.database._storage_pages import (
    test_pages_lie_at_their_offset,
    test_reading_past_the_end,
    test_a_short_tail_is_an_error,
    test_freed_pages_come_back,
    test_every_flipped_body_bit,
    test_every_flipped_header_bit,
    test_swapped_pages,
    test_a_page_that_was_good_before,
    test_what_is_flushed_is_sealed,
)
from grader.acceptance.database._storage_pool import (
    test_hit_rate_of_a_cold_read,
    test_lru_exactly,
    test_clock_exactly,
    test_dirty_pages_survive_eviction,
    test_a_load_that_fails,
    test_all_frames_pinned,
    test_pins_end_with_the_block,
    test_2q_keeps_the_hot_set,
    test_direct_io,
    test_flush_some,
)
from grader.acceptance.database._storage_records import (
    test_forty_records_in_a_page,
    test_forty_records_in_the_manager,
    test_element_sets,
    test_deleted_slots_are_none,
    test_compaction_keeps_slot_ids,
    test_reinsertion_reuses_slots,
    test_deleting_through_the_manager,
    test_a_full_page_refuses,
    test_the_next_page_takes_it,
    test_the_largest_record,
    test_an_exact_fit_by_reuse,
    test_overflow_records,
)
from grader.acceptance.database._storage_run import (
    test_the_same_run_twice,
    test_insert_speed,
    test_get_speed,
    test_hits_do_not_depend_on_pool_size,
)

# isort: on

__all__ = [
    "test_pages_lie_at_their_offset",
    "test_reading_past_the_end",
    "test_a_short_tail_is_an_error",
    "test_freed_pages_come_back",
    "test_every_flipped_body_bit",
    "test_every_flipped_header_bit",
    "test_swapped_pages",
    "test_a_page_that_was_good_before",
    "test_what_is_flushed_is_sealed",
    "test_hit_rate_of_a_cold_read",
    "test_lru_exactly",
    "test_clock_exactly",
    "test_dirty_pages_survive_eviction",
    "test_a_load_that_fails",
    "test_all_frames_pinned",
    "test_pins_end_with_the_block",
    "test_2q_keeps_the_hot_set",
    "test_direct_io",
    "test_flush_some",
    "test_forty_records_in_a_page",
    "test_forty_records_in_the_manager",
    "test_element_sets",
    "test_deleted_slots_are_none",
    "test_compaction_keeps_slot_ids",
    "test_reinsertion_reuses_slots",
    "test_deleting_through_the_manager",
    "test_a_full_page_refuses",
    "test_the_next_page_takes_it",
    "test_the_largest_record",
    "test_an_exact_fit_by_reuse",
    "test_overflow_records",
    "test_the_same_run_twice",
    "test_insert_speed",
    "test_get_speed",
    "test_hits_do_not_depend_on_pool_size",
]
