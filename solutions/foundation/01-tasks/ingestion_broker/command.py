"""The broker as a command. Given: nothing to write here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import anyio

from meridian.foundation.tasks import signal_monitor

from .broker import Broker
from .records import BrokerConfig, Frame, ShutdownReport


def main(
    argv: Sequence[str] | None = None,
    *,
    processor: Callable[[Frame], Frame | None] | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM: 0 when all drained, 1 when something had to be aborted.

    Prints ``listening on <host>:<port>`` once it accepts connections. A second signal ends the
    process at once.
    """
    parser = argparse.ArgumentParser(prog="ingestion-broker")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=7777)
    parser.add_argument("--handlers", type=int, default=3)
    parser.add_argument("--drain-deadline", type=float, default=10.0)
    options = parser.parse_args(argv)
    broker = Broker(
        BrokerConfig(
            host=options.host,
            port=options.port,
            drain_deadline_s=options.drain_deadline,
            processor=processor,
        )
    )
    for _ in range(options.handlers):
        broker.subscribe(_count)
    report = anyio.run(_serve, broker)
    print(report)
    return 0 if report.clean else 1


async def _count(frame: Frame) -> None:
    """The broker counts what it gives to a handler."""


async def _serve(broker: Broker) -> ShutdownReport:
    reports = []

    async def serve(*, task_status: anyio.abc.TaskStatus[tuple[str, int]]) -> None:
        reports.append(await broker.serve(task_status=task_status))

    async with anyio.create_task_group() as group:
        await group.start(signal_monitor, broker.token)  # before anything else
        host, port = await group.start(serve)
        print(f"listening on {host}:{port}", flush=True)
    return reports[0]
