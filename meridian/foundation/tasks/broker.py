"""The ground-station ingress: many connections in, whole frames out to every handler.

Each connection and each handler is a task that fails, lags or hangs alone. Shutdown refuses new
connections at once, lets every open one finish the frame it has begun, and ends in bounded time
whatever the peers, the handlers and the processor do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import cast

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import (
    Listener,
    SocketAttribute,
    SocketListener,
    SocketStream,
    TaskStatus,
)
from anyio.streams.stapled import MultiListener

from meridian.clock import SYSTEM_CLOCK, Clock
from meridian.foundation.tasks.blocking import BlockingPool
from meridian.foundation.tasks.broker_errors import (
    BrokerElsewhere,
    BrokerUsed,
    HandlerNameTaken,
    UnknownHandler,
)
from meridian.foundation.tasks.broker_fanout import FanOut, Handler, HandlerTask, LogThrottle
from meridian.foundation.tasks.broker_records import (
    BrokerConfig,
    BrokerStats,
    Frame,
    HandlerStats,
)
from meridian.foundation.tasks.broker_session import Service, Session
from meridian.foundation.tasks.cancel import CancellationToken
from meridian.foundation.tasks.shutdown import ShutdownCoordinator, ShutdownReport
from meridian.foundation.tasks.tracker import TaskHandle, TaskTracker

__all__ = [
    "Broker",
    "BrokerConfig",
    "BrokerElsewhere",
    "BrokerStats",
    "BrokerUsed",
    "Frame",
    "HandlerNameTaken",
    "HandlerStats",
    "UnknownHandler",
]

_ACCEPT_PAUSE_S = 0.1  # when the process has no descriptor left for another connection
_log = structlog.get_logger(__name__)


class Broker:
    """Accepts connections, decodes their frames, and gives each to all handlers.

    Delivery is ordered per connection and lossy per handler: one that is more than
    ``broadcast_capacity`` frames behind misses the oldest, counted, and holds up nobody. With no
    handler at all frames are received and counted.

    >>> async def show(frame): print(frame.station_id, len(frame.payload))
    >>> broker = Broker(BrokerConfig(host="127.0.0.1", port=0))
    >>> stats = broker.subscribe(show, name="archive")
    >>> # report = await broker.serve(), and from anywhere: broker.request_shutdown("upgrade")
    """

    def __init__(self, config: BrokerConfig | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.config = BrokerConfig() if config is None else config
        self.stats = BrokerStats()
        self.token = CancellationToken()
        """Cancelled when shutdown is requested."""
        self.report: ShutdownReport | None = None
        """Set when the drain is over, though `serve` still waits for what is stuck."""
        self._clock = clock
        self._drained = anyio.Event()
        self._used = False
        self._subscribed = 0
        self._handlers: dict[str, tuple[Handler, HandlerStats]] = {}
        self._running: dict[str, tuple[HandlerTask, TaskHandle[None]]] = {}
        self._start: Callable[[Handler, HandlerStats], None] | None = None  # while it serves
        self._thread = 0

    def subscribe(self, handler: Handler, *, name: str | None = None) -> HandlerStats:
        """Have ``await handler(frame)`` called with every frame from now on; its live counts.

        Before `serve`, or in the loop that serves. What it raises is counted and logged. Raises
        `TypeError` for what cannot be called, `HandlerNameTaken`, `BrokerElsewhere` in another
        thread, `BrokerUsed` after the end.
        """
        if not callable(handler):
            raise TypeError(f"Expected a handler to call, got {handler!r}")
        if not isinstance(name, str | None):
            raise TypeError(f"Expected the handler's name as str, got {type(name).__name__}")
        self._check_thread("subscribe")
        if self._used and self._start is None:
            raise BrokerUsed("subscribe")
        self._subscribed += 1
        name = name or f"handler-{self._subscribed}"
        if name in self._handlers:
            raise HandlerNameTaken(name)
        seen = HandlerStats(name)
        self._handlers[name] = handler, seen
        if self._start is not None:
            self._start(handler, seen)
        return seen

    def unsubscribe(self, name: str) -> None:
        """Stop the handler of that name, at the await it is in; its counts stay as they are.

        Before `serve`, or in the loop that serves. Raises `UnknownHandler`, a `KeyError`, and
        `BrokerElsewhere`, a `RuntimeError`, in another thread.
        """
        if not isinstance(name, str):
            raise TypeError(f"Expected the handler's name as str, got {type(name).__name__}")
        self._check_thread("unsubscribe")
        if name not in self._handlers:
            raise UnknownHandler(name, tuple(self._handlers))
        del self._handlers[name]
        if (running := self._running.pop(name, None)) is not None:
            feed, task = running
            task.abort()
            feed.settle()

    def request_shutdown(self, reason: str = "requested") -> None:
        """Begin to drain; only the first call counts. From any thread or signal handler."""
        self.token.cancel(reason)

    async def serve(
        self, *, task_status: TaskStatus[tuple[str, int]] = TASK_STATUS_IGNORED
    ) -> ShutdownReport:
        """Serve until shutdown is requested, then drain; how that went.

        Reports host and port as started once connections are accepted. Raises `OSError` before
        that where it cannot listen, `BrokerUsed` the second time. Cancelled, it closes every
        socket and aborts every task. A handler that refuses to be aborted is named as stuck in
        `report`, and keeps this from returning.
        """
        if self._used:
            raise BrokerUsed("serve")
        self._used = True
        self._thread = threading.get_ident()
        config, stats = self.config, self.stats
        try:
            listeners = await anyio.create_tcp_listener(
                local_host=config.host, local_port=config.port
            )
        except BaseException:
            self._used = False
            raise
        fanout = FanOut(config.broadcast_capacity, stats, self._clock)
        pool = (
            BlockingPool(config.processor_threads, "broker-process") if config.processor else None
        )
        service = Service(config, stats, self.token, self._clock, fanout.publish, pool)
        try:
            async with TaskTracker("handlers") as handlers, TaskTracker("sessions") as sessions:
                self._begin(fanout, handlers)
                await self._accept_all(listeners, service, sessions, task_status)
                self._start = None
                for session in tuple(service.sessions):
                    session.interrupt()
                self.report = await self._drain(fanout, sessions, handlers)
                self._drained.set()
        finally:
            self._start = None
            for session in tuple(service.sessions):  # aborted before its first step
                await session.end()
            for feed, _ in self._running.values():
                feed.settle()
            if pool is not None:
                pool.close()
            await _close(listeners)
        return self.report

    async def drained(self) -> ShutdownReport:
        """Wait for `report`, which what is stuck does not delay."""
        await self._drained.wait()
        assert self.report is not None
        return self.report

    def _check_thread(self, what: str) -> None:
        if self._used and self._thread != threading.get_ident():
            raise BrokerElsewhere(what)

    # -- within serve ----------------------------------------------------------------------------

    def _begin(self, fanout: FanOut, handlers: TaskTracker) -> None:
        def start(handler: Handler, seen: HandlerStats) -> None:
            feed = fanout.attach(handler, seen)
            self._running[seen.name] = feed, handlers.spawn(feed.run, name=seen.name)

        self._start = start
        for handler, seen in self._handlers.values():
            start(handler, seen)

    async def _accept_all(
        self,
        listeners: MultiListener[SocketStream],
        service: Service,
        sessions: TaskTracker,
        task_status: TaskStatus[tuple[str, int]],
    ) -> None:
        """Accept connections until shutdown is requested; afterwards they are refused."""
        async with anyio.create_task_group() as accepting:
            for listener in listeners.listeners:
                accepting.start_soon(self._accept, listener, service, sessions)
            host, port, *_ = cast("tuple[str, int]", listeners.extra(SocketAttribute.local_address))
            task_status.started((host, port))
            reason = await self.token.cancelled()
            accepting.cancel_scope.cancel()
        await _close(listeners)
        _log.info("shutdown_requested", reason=reason, sessions=len(sessions))

    async def _accept(
        self, listener: Listener[SocketStream], service: Service, sessions: TaskTracker
    ) -> None:
        throttle = LogThrottle(self._clock)
        while True:
            try:
                stream = await cast("SocketListener", listener).accept()
            except (OSError, anyio.BrokenResourceError) as error:
                if throttle.due():
                    _log.warning("accept_failed", error=repr(error.__cause__ or error))
                await anyio.sleep(_ACCEPT_PAUSE_S)
                continue
            peer = stream.extra(SocketAttribute.remote_address, ("unknown", 0))
            host, port, *_ = cast("tuple[str, int]", peer)
            station_id = f"gs-{service.stats.accepted + 1}@{host}:{port}"
            session = Session(station_id, stream, service)
            sessions.spawn(session.run, name=station_id)

    async def _drain(
        self, fanout: FanOut, sessions: TaskTracker, handlers: TaskTracker
    ) -> ShutdownReport:
        """One total deadline: connections first, then handlers with what time they left."""
        started_s = self._clock.monotonic()
        deadline_s, grace_s = self.config.drain_deadline_s, self.config.abort_grace_s
        first = await ShutdownCoordinator(
            sessions, self.token, drain_deadline_s=deadline_s, abort_grace_s=grace_s / 2
        ).shutdown(self.token.reason)
        fanout.close()
        passed_s = self._clock.monotonic() - started_s
        # A handler that keeps up needs a moment, even after connections that used all the time.
        patience_s = deadline_s - passed_s if passed_s < deadline_s else grace_s / 4
        second = await ShutdownCoordinator(
            handlers,
            self.token,
            drain_deadline_s=patience_s,
            abort_grace_s=max(0.0, deadline_s + grace_s - passed_s - patience_s),
        ).shutdown(self.token.reason)
        report = ShutdownReport(
            reason=first.reason,
            drained=first.drained + second.drained,
            aborted=first.aborted + second.aborted,
            stuck=first.stuck + second.stuck,
            elapsed_s=self._clock.monotonic() - started_s,
        )
        _log.info("shutdown_complete", **asdict(report), clean=report.clean)
        return report


async def _close(listeners: MultiListener[SocketStream]) -> None:
    with anyio.CancelScope(shield=True):  # it does not wait, and every one must be closed
        await listeners.aclose()
