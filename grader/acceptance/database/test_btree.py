"""Acceptance of database/02-btree, criterion by criterion.

A docstring is the category that a learner sees. The judge reads the page file itself and walks the
tree in it with its own reading of the layout, so no rule is taken on the submission's word. Pool
and file are those of `meridian.database.storage`, made by a probe in the worker; the counters and
pins that are read there are told as such.
"""

from __future__ import annotations

# The order of these names is the order of the tests, and so of what a learner is told first.
# isort: off
from grader.acceptance.database._btree_lookup import (
    test_one_leaf,
    test_ten_thousand_lookups,
    test_absent_keys,
    test_cold_lookups,
    test_cold_lookups_in_many_levels,
    test_what_is_refused,
)
from grader.acceptance.database._btree_range import (
    test_a_hundred_and_one,
    test_any_bounds,
    test_only_the_leaves_it_needs,
    test_a_tree_that_changes_meanwhile,
)
from grader.acceptance.database._btree_structure import (
    test_leaves_split,
    test_levels_grow,
    test_every_order,
    test_nodes_alone,
    test_bulk_load,
    test_bulk_load_of_any_size,
    test_one_by_one,
    test_a_load_that_is_refused,
    test_a_thousand_deleted,
    test_every_mixture,
    test_everything_deleted,
)
from grader.acceptance.database._btree_frames import (
    test_sixteen_frames,
    test_many_levels_in_sixteen_frames,
    test_ranges_left_open,
    test_errors_leave_no_pin,
    test_the_same_run_twice,
)
from grader.acceptance.database._btree_race import (
    test_bulk_speed,
    test_get_speed,
    test_insert_speed,
)
from grader.acceptance.database._btree_bonus import (
    test_nodes_stay_half_full,
    test_backwards,
    test_many_lookups,
    test_ascending_inserts,
)

# isort: on

__all__ = [
    "test_one_leaf",
    "test_ten_thousand_lookups",
    "test_absent_keys",
    "test_cold_lookups",
    "test_cold_lookups_in_many_levels",
    "test_what_is_refused",
    "test_a_hundred_and_one",
    "test_any_bounds",
    "test_only_the_leaves_it_needs",
    "test_a_tree_that_changes_meanwhile",
    "test_leaves_split",
    "test_levels_grow",
    "test_every_order",
    "test_nodes_alone",
    "test_bulk_load",
    "test_bulk_load_of_any_size",
    "test_one_by_one",
    "test_a_load_that_is_refused",
    "test_a_thousand_deleted",
    "test_every_mixture",
    "test_everything_deleted",
    "test_sixteen_frames",
    "test_many_levels_in_sixteen_frames",
    "test_ranges_left_open",
    "test_errors_leave_no_pin",
    "test_the_same_run_twice",
    "test_bulk_speed",
    "test_get_speed",
    "test_insert_speed",
    "test_nodes_stay_half_full",
    "test_backwards",
    "test_many_lookups",
    "test_ascending_inserts",
]
