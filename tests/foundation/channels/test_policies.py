"""What is lost is counted exactly, and told rarely."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from meridian.foundation.channels import (
    DropCounter,
    Full,
    SendClosed,
    channel,
    forward_or_drop,
)
from meridian.testing.clock import VirtualClock

pytestmark = pytest.mark.anyio


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 9)),
            st.tuples(st.just("wait"), st.floats(0, 2)),
            st.just(("flush", 0)),
            st.just(("close", 0)),
        )
    ),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_lines_are_rare_never_zero_and_sum_up(steps: list[tuple], interval_s: float) -> None:
    clock = VirtualClock()
    told_at_s, closing = [], False

    class Log(list):
        def append(self, line: dict) -> None:
            if not closing:
                told_at_s.append(clock.monotonic())
            super().append(line)

    with capture_logs() as logs:
        lines = Log()
        counter = DropCounter("edge", interval_s, clock)
        total = 0
        for step, amount in steps:
            closing = step == "close"
            before = len(logs)
            if step == "add":
                counter.add(amount)
                total += amount
            elif step == "wait":
                clock.advance(amount)
            elif step == "flush":
                told = counter.flush()
                assert told == sum(line["dropped"] for line in logs[before:])
            else:
                counter.close()
                assert counter.untold == 0
            for line in logs[before:]:
                lines.append(line)
            assert counter.total == total
            assert sum(line["dropped"] for line in lines) + counter.untold == total
        counter.close()
        counter.close()
    assert sum(line["dropped"] for line in logs) == total
    assert all(line["dropped"] > 0 and line["name"] == "edge" for line in logs)
    assert [line["total"] for line in logs] == sorted(line["total"] for line in logs)
    assert all(b - a >= interval_s for a, b in pairwise(told_at_s))


def test_the_first_loss_is_told_at_once_and_the_last_on_close() -> None:
    clock = VirtualClock()
    with capture_logs() as logs:
        with DropCounter("archive", clock=clock, event="handler_lagged", field="missed") as counter:
            for _ in range(1000):
                counter.add(3)
                clock.advance(0.0025)
        assert counter.total == 3000
    assert [line["event"] for line in logs] == ["handler_lagged"] * 4
    assert [line["missed"] for line in logs] == [3, 1200, 1200, 597]
    assert logs[-1]["total"] == 3000


@pytest.mark.parametrize("count", [-1, True, 1.0, "1", None])
def test_only_counts_are_counted(count: object) -> None:
    counter = DropCounter("edge")
    with pytest.raises(ValueError if count == -1 else TypeError, match="Expected count"):
        counter.add(count)
    assert counter.total == 0


@pytest.mark.parametrize("interval_s", [-1.0, math.inf, math.nan])
def test_the_interval_is_a_time(interval_s: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        DropCounter("edge", interval_s)


async def test_forward_or_drop_keeps_what_fits_and_counts_the_rest() -> None:
    sender, receiver = channel(8)
    with capture_logs() as logs, DropCounter("frames", clock=VirtualClock()) as counter:
        sent = [forward_or_drop(sender, frame, counter) for frame in range(12)]
        assert sent == [True] * 8 + [False] * 4
    assert counter.total == 4
    assert [line["dropped"] for line in logs] == [1, 3]
    assert [receiver.try_recv() for _ in range(8)] == list(range(8))
    receiver.close()
    with pytest.raises(SendClosed) as gone:
        forward_or_drop(sender, 12, counter)
    assert gone.value.item == 12
    assert counter.total == 4, "the end is no loss"
    with pytest.raises(SendClosed):
        sender.try_send(1)
    assert not issubclass(SendClosed, Full)
    sender.close()
