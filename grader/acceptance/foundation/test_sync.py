"""Acceptance of foundation/02-sync, criterion by criterion.

A docstring is the category that a learner sees. Single calls come from the judge. Batches, threads
and schedules run in the worker, beside the submission, and tell plain data (criteria 1 to 4, and
the second half of 7): hostile code could forge it, and criteria 5 and 6 judge much of the same by
single calls. Criteria stand alone: each uses its own part of the order.
"""

from __future__ import annotations

# The order of these names is the order of the tests, and so of what a learner is told first.
# isort: off
from grader.acceptance.foundation._sync_order import (
    test_a_command_goes_through,
    test_preloaded_batches_come_in_order,
    test_the_best_admitted_goes_first,
    test_only_valid_commands,
    test_only_valid_queues,
    test_an_idle_consumer_costs_nothing,
    test_a_sleeping_consumer_wakes_at_once,
)
from grader.acceptance.foundation._sync_schedules import (
    test_one_slot_in_every_schedule,
    test_shutdown_in_every_schedule,
    test_two_consumers_in_every_schedule,
    test_stress_loses_nothing,
    test_metrics_do_not_wait_for_the_lock,
    test_metrics_know_no_lock,
    test_a_snapshot_holds_its_inequality,
)
from grader.acceptance.foundation._sync_admission import (
    test_the_rest_is_drained_in_order,
    test_shutdown_sends_producers_away,
    test_ten_producers_two_slots,
    test_a_pop_does_not_wait_for_producers,
    test_safe_mode_takes_the_next_slot,
    test_the_reserve_is_for_emergencies,
)
from grader.acceptance.foundation._sync_sound import (
    test_locks_are_held_by_with_alone,
    test_commands_are_not_compared,
    test_a_failure_inside_is_told_to_all,
    test_the_demo,
    test_the_table_of_the_demo,
)
from grader.acceptance.foundation._sync_race import (
    test_half_the_speed,
    test_speed,
    test_speed_of_threads,
)

# isort: on

__all__ = [
    "test_a_command_goes_through",
    "test_preloaded_batches_come_in_order",
    "test_the_best_admitted_goes_first",
    "test_only_valid_commands",
    "test_only_valid_queues",
    "test_an_idle_consumer_costs_nothing",
    "test_a_sleeping_consumer_wakes_at_once",
    "test_one_slot_in_every_schedule",
    "test_shutdown_in_every_schedule",
    "test_two_consumers_in_every_schedule",
    "test_stress_loses_nothing",
    "test_metrics_do_not_wait_for_the_lock",
    "test_metrics_know_no_lock",
    "test_a_snapshot_holds_its_inequality",
    "test_the_rest_is_drained_in_order",
    "test_shutdown_sends_producers_away",
    "test_ten_producers_two_slots",
    "test_a_pop_does_not_wait_for_producers",
    "test_safe_mode_takes_the_next_slot",
    "test_the_reserve_is_for_emergencies",
    "test_locks_are_held_by_with_alone",
    "test_commands_are_not_compared",
    "test_a_failure_inside_is_told_to_all",
    "test_the_demo",
    "test_the_table_of_the_demo",
    "test_half_the_speed",
    "test_speed",
    "test_speed_of_threads",
]
