"""``meridian-broker``: a broker from the command line, ended by SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import anyio
import structlog
from anyio.abc import TaskStatus

from meridian.foundation.tasks.broker import Broker
from meridian.foundation.tasks.broker_records import BrokerConfig, Frame, HandlerStats, Processor
from meridian.foundation.tasks.shutdown import ShutdownReport
from meridian.foundation.tasks.signals import signal_monitor

__all__ = ["main"]

_CLEAN, _ABORTED, _NOT_STARTED = 0, 1, 2


def main(argv: Sequence[str] | None = None, *, processor: Processor | None = None) -> int:
    """Serve until a signal comes; 0 when all drained, 1 when some were aborted, 2 for no start.

    Prints the address on standard output and logs to standard error. A second signal ends the
    process at once, with 128 + its number; so does, with 1, a handler that refuses to end.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        config = BrokerConfig(
            host=options.host,
            port=options.port,
            drain_deadline_s=options.drain_deadline,
            processor=processor,
        )
    except ValueError as error:
        parser.error(str(error))
    if options.handlers < 0:
        parser.error(f"Expected --handlers of at least 0, got {options.handlers}")
    if not structlog.is_configured():
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    broker = Broker(config)
    handlers = [broker.subscribe(_receive) for _ in range(options.handlers)]
    outcome = anyio.run(_serve, broker)
    if isinstance(outcome, OSError):
        print(f"Cannot listen on {config.host}:{config.port}: {outcome}", file=sys.stderr)
        return _NOT_STARTED
    _say(broker, outcome, handlers)
    return _CLEAN if outcome.clean else _ABORTED


def _parser() -> argparse.ArgumentParser:
    default = BrokerConfig()
    parser = argparse.ArgumentParser(
        prog="meridian-broker",
        description="Receive length-prefixed telemetry frames over TCP, and pass each to every "
        "handler. SIGTERM or SIGINT drains, a second one ends it at once.",
    )
    parser.add_argument("--host", default=default.host, help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=default.port, help="port, 0 for a free one (%(default)s)"
    )
    parser.add_argument(
        "--handlers", type=int, default=3, help="how many handlers count frames (%(default)s)"
    )
    parser.add_argument(
        "--drain-deadline",
        type=float,
        default=default.drain_deadline_s,
        metavar="SECONDS",
        help="time for open connections to finish their frame (%(default)s)",
    )
    return parser


async def _receive(frame: Frame) -> None:
    """The command's handlers count, and counting is done around them."""


async def _serve(broker: Broker) -> ShutdownReport | OSError:
    async def serve(*, task_status: TaskStatus[tuple[str, int]]) -> None:
        await broker.serve(task_status=task_status)

    async with anyio.create_task_group() as group:
        await group.start(signal_monitor, broker.token)
        try:
            host, port = await group.start(serve)
        except OSError as error:
            group.cancel_scope.cancel()
            return error
        print(f"listening on {host}:{port}", flush=True)
        report = await broker.drained()
        if report.stuck:  # the group would wait for them, and so would the interpreter
            _say(broker, report, [])
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(_ABORTED)
    return report


def _say(broker: Broker, report: ShutdownReport, handlers: Sequence[HandlerStats]) -> None:
    stats = broker.stats
    print(f"{report}; {stats.frames} frames of {stats.accepted} connections")
    for seen in handlers:
        print(f"{seen.name}: {seen.received} received, {seen.missed} missed")


if __name__ == "__main__":
    sys.exit(main())
