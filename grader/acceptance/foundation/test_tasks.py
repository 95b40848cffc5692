"""Acceptance of foundation/01-tasks, criterion by criterion.

A docstring is the category that a learner sees. The judge holds the sockets of the stations and,
where it can, is the handlers and the processor itself; where a callback for each frame would lag by
itself, a recorder in the worker is asked afterwards, and the docstring says so.
"""

from __future__ import annotations

# The order of these names is the order of the tests, and so of what a learner is told first.
# isort: off
from grader.acceptance.foundation._tasks_serving import (
    test_any_split,
    test_reading_one_frame,
    test_a_stalled_header,
    test_every_handler_sees_every_frame,
    test_a_slow_handler_lags_alone,
)
from grader.acceptance.foundation._tasks_ending import (
    test_shutdown_inside_a_payload,
    test_shutdown_inside_a_header,
    test_what_was_taken_is_delivered,
    test_stations_that_stall_are_aborted,
    test_a_process_with_a_blocked_processor_ends,
)
from grader.acceptance.foundation._tasks_trouble import (
    test_nothing_is_swallowed,
    test_troubles_are_counted_and_alone,
    test_a_processor_in_threads,
    test_the_loop_goes_on,
    test_a_length_above_the_limit,
    test_without_handlers,
    test_after_the_last_handler,
    test_a_thousand_short_connections,
)
from grader.acceptance.foundation._tasks_race import (
    test_half_the_throughput,
    test_throughput,
)

# isort: on

__all__ = [
    "test_any_split",
    "test_reading_one_frame",
    "test_a_stalled_header",
    "test_every_handler_sees_every_frame",
    "test_a_slow_handler_lags_alone",
    "test_shutdown_inside_a_payload",
    "test_shutdown_inside_a_header",
    "test_what_was_taken_is_delivered",
    "test_stations_that_stall_are_aborted",
    "test_a_process_with_a_blocked_processor_ends",
    "test_nothing_is_swallowed",
    "test_troubles_are_counted_and_alone",
    "test_a_processor_in_threads",
    "test_the_loop_goes_on",
    "test_a_length_above_the_limit",
    "test_without_handlers",
    "test_after_the_last_handler",
    "test_a_thousand_short_connections",
    "test_half_the_throughput",
    "test_throughput",
]
