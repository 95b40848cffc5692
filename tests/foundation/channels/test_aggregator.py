"""What an aggregator does with frames that fail and with calls that make no sense; its demo."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable

import anyio
import pytest

from meridian.foundation.channels import (
    AggregatorConfig,
    AggregatorReport,
    Frame,
    ProcessFailed,
    SendClosed,
    TelemetryAggregator,
    UnknownSource,
)
from meridian.foundation.channels.aggregator_demo import main
from meridian.foundation.sync import WrongThread
from tests.foundation.channels.aggregator_rig import (
    LIVE,
    Rig,
    frame,
    send_all,
)

pytestmark = pytest.mark.anyio


def failing_at(*numbers: int) -> Callable[[Frame], object]:
    async def process(item: Frame) -> None:
        await anyio.lowlevel.checkpoint()
        if item.sequence in numbers:
            raise ValueError(item.sequence)

    return process


async def _run_with(aggregator: TelemetryAggregator, count: int) -> AggregatorReport:
    source = await aggregator.add_source(1, LIVE)
    await send_all(source, [frame(1, n) for n in range(count)])
    aggregator.request_shutdown()
    return await aggregator.run()


async def test_a_frame_that_fails_is_counted_and_not_shown() -> None:
    aggregator = TelemetryAggregator(process=failing_at(3, 5))  # type: ignore[arg-type]
    subscriber = aggregator.subscribe()
    report = await _run_with(aggregator, 10)
    assert (report.routed, report.processed, report.failed) == (10, 8, 2)
    assert report.clean
    assert [each.sequence for each in await subscriber.recv_many()] == [0, 1, 2, 4, 6, 7, 8, 9]


async def test_a_failure_may_end_the_run() -> None:
    aggregator = TelemetryAggregator(
        process=failing_at(3),  # type: ignore[arg-type]
        on_error="stop",
    )
    with pytest.raises(ProcessFailed, match="frame 3 of source 1") as caught:
        await _run_with(aggregator, 10)
    assert isinstance(caught.value.__cause__, ValueError)
    report = caught.value.report
    assert (report.processed, report.failed, report.discarded) == (3, 1, 6)
    assert not report.clean
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.frame, copy.report, str(copy)) == (frame(1, 3), report, str(caught.value))


async def test_a_failure_may_go_to_a_dead_letter_office() -> None:
    letters: list[tuple[int, str]] = []

    async def office(item: Frame, error: Exception) -> None:
        await anyio.lowlevel.checkpoint()
        letters.append((item.sequence, repr(error)))
        if item.sequence == 7:
            raise OSError("the office is closed")

    process = failing_at(2, 4, 7)
    aggregator = TelemetryAggregator(process=process, on_error=office)  # type: ignore[arg-type]
    with pytest.raises(ProcessFailed) as caught:
        await _run_with(aggregator, 10)
    assert letters == [(2, "ValueError(2)"), (4, "ValueError(4)"), (7, "ValueError(7)")]
    assert isinstance(caught.value.__cause__, OSError)
    assert (caught.value.report.processed, caught.value.report.discarded) == (5, 2)


async def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(TypeError):
        TelemetryAggregator(process=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_error"):
        TelemetryAggregator(on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        TelemetryAggregator(on_error=None)  # type: ignore[arg-type]
    for name in ("ctrl", "feed", "emergency", "routine", "processor", "broadcast"):
        for value, error in (
            (0, ValueError),
            (-1, ValueError),
            (True, TypeError),
            (1.0, TypeError),
        ):
            with pytest.raises(error, match=name):
                AggregatorConfig(**{f"{name}_capacity": value})  # type: ignore[arg-type]
    for seconds in (-1, float("inf")):
        with pytest.raises(ValueError, match="deadline"):
            AggregatorConfig(shutdown_deadline_s=seconds)
    with pytest.raises(TypeError, match="deadline"):
        AggregatorConfig(shutdown_deadline_s="5")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_high_run"):
        AggregatorConfig(max_high_run=0)
    async with Rig().running() as aggregator:
        for bad in ("1", True, 1.0):
            with pytest.raises(TypeError, match="source_id"):
                await aggregator.add_source(bad, LIVE)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="source_id"):
                await aggregator.remove_source(bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="kind"):
            await aggregator.add_source(1, "live_uplink")  # type: ignore[arg-type]
        with pytest.raises(UnknownSource):
            await aggregator.remove_source(5)
        source = await aggregator.add_source(1, LIVE)
        with pytest.raises(ValueError, match="source 1"):
            await source.send(frame(2, 0))
        with pytest.raises(TypeError, match="Frame"):
            await source.send(b"frame")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="priority"):
            await source.send(Frame(1, LIVE, 1, 0, b""))  # type: ignore[arg-type]
        source.close()
        source.close()
        with pytest.raises(SendClosed):
            source.try_send(frame(1, 0))
    assert aggregator.statistics().routed == 0


async def test_another_thread_is_told_so() -> None:
    async with Rig().running() as aggregator:
        source = await aggregator.add_source(1, LIVE)
        errors: list[BaseException] = []

        def elsewhere() -> None:
            for call in (
                lambda: source.try_send(frame(1, 0)),
                lambda: anyio.run(source.send, frame(1, 0)),
                lambda: anyio.run(aggregator.add_source, 2, LIVE),
                source.close,
            ):
                try:
                    call()
                except WrongThread as error:
                    errors.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(30)
        assert len(errors) == 4
        await source.send(frame(1, 0))
    assert aggregator.statistics().processed == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_demo_shows_emergencies_overtaking(
    backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--backend", backend]) == 0
    lines = capsys.readouterr().out.splitlines()
    frames = [line for line in lines if line.startswith(("ROUTINE", "EMERGENCY"))]
    assert len(frames) == 45
    urgent = [n for n, line in enumerate(frames) if line.startswith("EMERGENCY")]
    assert len(urgent) == 8
    assert urgent[-1] < 20, "they were sent behind 32 routine frames"
    assert sum(line.startswith("PipelineStats(") for line in lines) >= 4
    assert "processed=45, emergency=8" in lines[-1]
