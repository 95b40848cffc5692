"""Acceptance of foundation/03-channels, criterion by criterion.

A docstring is the category that a learner sees. Orders and times are told by probes beside the
aggregator, in virtual time where that helps: an idle loop would jump while it waited for the judge.
Where the judge itself is the processor, the docstring says so.
"""

from __future__ import annotations

# The order of these names is the order of the tests, and so of what a learner is told first.
# isort: off
from grader.acceptance.foundation._channels_order import (
    test_a_frame_goes_through,
    test_emergencies_overtake_the_backlog,
    test_no_history_lets_an_emergency_wait,
    test_sources_come_and_go,
    test_removal_waits,
    test_discarded_is_counted,
    test_ids_and_ends,
    test_a_thousand_sources_leave_nothing,
)
from grader.acceptance.foundation._channels_flow import (
    test_a_slow_processor_slows_the_sources_down,
    test_pressure_holds_up_no_emergency,
    test_try_send_never_waits,
)
from grader.acceptance.foundation._channels_shown import (
    test_subscribers_see_what_was_processed,
    test_a_failed_frame_is_skipped,
    test_a_frame_is_counted_before_it_is_shown,
    test_statistics_are_read_from_any_thread,
    test_statistics_are_of_one_moment,
    test_nobody_needs_a_lock,
    test_an_archive_that_lags,
)
from grader.acceptance.foundation._channels_ending import (
    test_what_was_accepted_is_processed,
    test_who_still_waits_is_refused,
    test_a_shutdown_before_the_run,
    test_a_source_that_never_stops,
    test_a_hung_processor,
    test_the_demo,
)
from grader.acceptance.foundation._channels_race import (
    test_half_the_speed,
    test_speed,
)

# isort: on

__all__ = [
    "test_a_frame_goes_through",
    "test_emergencies_overtake_the_backlog",
    "test_no_history_lets_an_emergency_wait",
    "test_sources_come_and_go",
    "test_removal_waits",
    "test_discarded_is_counted",
    "test_ids_and_ends",
    "test_a_thousand_sources_leave_nothing",
    "test_a_slow_processor_slows_the_sources_down",
    "test_pressure_holds_up_no_emergency",
    "test_try_send_never_waits",
    "test_subscribers_see_what_was_processed",
    "test_a_failed_frame_is_skipped",
    "test_a_frame_is_counted_before_it_is_shown",
    "test_statistics_are_read_from_any_thread",
    "test_statistics_are_of_one_moment",
    "test_nobody_needs_a_lock",
    "test_an_archive_that_lags",
    "test_what_was_accepted_is_processed",
    "test_who_still_waits_is_refused",
    "test_a_shutdown_before_the_run",
    "test_a_source_that_never_stops",
    "test_a_hung_processor",
    "test_the_demo",
    "test_half_the_speed",
    "test_speed",
]
