"""The telemetry ingress: many connections in, every frame to every handler, an end in time."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable

import anyio
import structlog
from anyio.abc import SocketListener, SocketStream, TaskStatus
from anyio.lowlevel import checkpoint

from meridian.foundation.channels import BroadcastReceiver, BroadcastSender, Lagged, broadcast
from meridian.foundation.tasks import BlockingPool, CancellationToken, TaskHandle, TaskTracker

from .framing import FrameDecoder
from .records import BrokerConfig, BrokerStats, Frame, HandlerStats, ShutdownReport
from .sockets import accepting_sockets, address_of, peer_of

Handler = Callable[[Frame], Awaitable[None]]

CHUNK_BYTES = 65_536

log = structlog.get_logger(__name__)
# Events, with what they carry: connection_established(station), connection_closed(station),
# frame_rejected(station, reason), handler_error(handler), session_aborted(station),
# shutdown_requested(reason), shutdown_complete(clean). A lagging receiver of `broadcast` logs
# handler_lagged by itself.


class Broker:
    """Accepts connections, decodes their frames, and gives each to all handlers.

    - A handler sees the frames of one connection in their order. One that is more than
      `broadcast_capacity` frames behind misses the oldest, and holds up nobody.
    - Without handlers frames are received and counted, and connections stay open.
    - What goes wrong in one connection or one handler is counted there; the others do not notice.
    """

    def __init__(self, config: BrokerConfig | None = None) -> None:
        self.config = config or BrokerConfig()
        self.stats = BrokerStats()
        self.token = CancellationToken()
        """Cancelled when shutdown is requested."""
        self.handlers: dict[str, tuple[Handler, HandlerStats]] = {}
        """By name: what `subscribe` was given, and has given."""
        ### BEGIN SOLUTION
        self._sessions, self._feeds = TaskTracker("sessions"), TaskTracker("handlers")
        self._feeding: dict[str, TaskHandle[None]] = {}
        self._thread = 0  # of the loop that serves
        self._frames: BroadcastSender[Frame] = broadcast(self.config.broadcast_capacity)
        self._publishing = anyio.Lock()
        self._pool = BlockingPool(self.config.processor_threads)
        self._waiting: set[anyio.CancelScope] = set()
        ### END SOLUTION

    def subscribe(self, handler: Handler, *, name: str | None = None) -> HandlerStats:
        """Have ``await handler(frame)`` called with every frame. Before `serve`. Given."""
        stats = HandlerStats(name or f"handler-{len(self.handlers) + 1}")
        if stats.name in self.handlers:
            raise ValueError(f"A handler named {stats.name!r} is there: choose another name")
        self.handlers[stats.name] = handler, stats
        return stats

    def unsubscribe(self, name: str) -> None:
        """Call that handler no more, while the broker serves.

        Raises `KeyError` for a name that no handler has, saying which there are, and `RuntimeError`
        in another thread than the one of the loop that serves.
        """
        ### BEGIN SOLUTION #9: unsubscribe() - check, then end the handler's task, nothing else
        if threading.get_ident() != self._thread:
            raise RuntimeError("unsubscribe() belongs in the thread of the loop that serves")
        if name not in self.handlers:
            raise KeyError(f"No handler {name!r}: there are {', '.join(self.handlers) or 'none'}")
        del self.handlers[name]
        self._feeding.pop(name).abort()
        ### END SOLUTION

    def request_shutdown(self, reason: str = "requested") -> None:
        """From any thread, any number of times; only the first one counts. Given."""
        self.token.cancel(reason)

    async def serve(
        self, *, task_status: TaskStatus[tuple[str, int]] = anyio.TASK_STATUS_IGNORED
    ) -> ShutdownReport:
        """Serve until shutdown is requested, then drain; how that went.

        Calls ``task_status.started((host, port))`` once it accepts connections. From the request on
        new connections are refused. A connection between two frames is closed; one inside a frame
        is read to the end of that frame and no further: a frame behind it, though it came in the
        same bytes, is not delivered. Frames that were taken before are. All together have
        `drain_deadline_s`; who is not done then is aborted, and has `abort_grace_s` to be gone.
        """
        ### BEGIN SOLUTION #1: serve() - listen, a task for each connection; drain when told to
        self._thread = threading.get_ident()
        listeners = await anyio.create_tcp_listener(
            local_host=self.config.host, local_port=self.config.port
        )
        async with listeners, self._feeds, self._sessions:
            for name, (handler, stats) in self.handlers.items():
                receiver = self._frames.subscribe(name)
                task = self._feeds.spawn(self._feed, receiver, handler, stats, name=name)
                self._feeding[name] = task
            async with anyio.create_task_group() as accepting:
                for listener in accepting_sockets(listeners):
                    accepting.start_soon(self._accept, listener)
                task_status.started(address_of(listeners))
                reason = await self.token.cancelled()
                accepting.cancel_scope.cancel()
            await listeners.aclose()
            log.info("shutdown_requested", reason=reason)
            for scope in self._waiting:
                scope.cancel()
            return await self._drain(reason)
        ### END SOLUTION

    ### BEGIN SOLUTION
    # -- connections -----------------------------------------------------------------------------

    async def _accept(self, listener: SocketListener) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:  # no descriptor left
                log.warning("accept_failed", error=repr(error))
                await anyio.sleep(0.1)
                continue
            self.stats.accepted += 1
            station_id = f"gs-{self.stats.accepted}@{peer_of(stream)}"
            self._sessions.spawn(self._session, station_id, stream, name=station_id)

    async def _session(self, station_id: str, stream: SocketStream) -> None:
        decoder = FrameDecoder(self.config.max_payload)
        self.stats.active += 1
        log.info("connection_established", station=station_id)
        try:
            async with stream:
                await self._read(station_id, stream, decoder)
                await stream.send_eof()
        except (anyio.EndOfStream, anyio.BrokenResourceError, OSError):
            self.stats.truncated += not decoder.at_boundary
        except anyio.get_cancelled_exc_class():
            log.warning("session_aborted", station=station_id)
            raise
        finally:
            self.stats.active -= 1
            log.info("connection_closed", station=station_id)

    async def _read(self, station_id: str, stream: SocketStream, decoder: FrameDecoder) -> None:
        """Until the stream ends, breaks the rules, or shutdown finds it between two frames."""
        while True:
            last = self.token.is_cancelled  # then only the frame that has begun is read
            if last and decoder.at_boundary:
                return
            chunk = await self._receive(stream, interruptible=not last)
            payloads = decoder.feed(chunk)
            await self._deliver(station_id, payloads[:1] if last else payloads)
            if decoder.fault is not None:
                self._reject(station_id, str(decoder.fault))
                return
            if last and payloads:
                return

    async def _receive(self, stream: SocketStream, *, interruptible: bool) -> bytes:
        """What comes next; nothing, and nothing is lost, when shutdown is requested meanwhile."""
        with anyio.CancelScope() as scope:
            if interruptible:
                self._waiting.add(scope)
            try:
                return await stream.receive(CHUNK_BYTES)
            finally:
                self._waiting.discard(scope)
        return b""

    # -- from connections to handlers ------------------------------------------------------------

    async def _deliver(self, station_id: str, payloads: list[bytes]) -> None:
        self.stats.frames += len(payloads)
        self.stats.bytes += sum(map(len, payloads))
        frames = [Frame(station_id, payload) for payload in payloads]
        if self.config.processor is None:
            await self._publish(frames)
            return
        for frame in frames:  # one at a time: so they stay in order
            try:
                done = await self._pool.run(self.config.processor, frame, abandon_on_cancel=True)
            except Exception as error:
                self._reject(station_id, repr(error))
            else:
                if done is None:
                    self._reject(station_id, "by the processor")
                else:
                    await self._publish([done])

    async def _publish(self, frames: list[Frame]) -> None:
        """Half a ring at a time, and then the handlers' turn: who does not wait misses nothing."""
        stride = max(1, self.config.broadcast_capacity // 2)
        async with self._publishing:
            for start in range(0, len(frames), stride):
                self._frames.send_many(frames[start : start + stride])
                await checkpoint()

    def _reject(self, station_id: str, reason: str) -> None:
        self.stats.rejected_frames += 1
        log.warning("frame_rejected", station=station_id, reason=reason)

    async def _feed(
        self, receiver: BroadcastReceiver[Frame], handler: Handler, stats: HandlerStats
    ) -> None:
        """A handler's task: it ends when the broadcast is closed and read."""
        async with receiver:
            while True:
                try:
                    frames = await receiver.recv_many(64)
                except Lagged as lagged:
                    stats.missed += lagged.missed
                    continue
                if not frames:
                    return
                for frame in frames:
                    stats.received += 1
                    try:
                        await handler(frame)
                    except Exception as error:
                        stats.errors += 1
                        self.stats.handler_errors += 1
                        log.error("handler_error", handler=stats.name, error=repr(error))

    # -- the end ---------------------------------------------------------------------------------

    async def _drain(self, reason: str) -> ShutdownReport:
        """Connections first; when none is left, handlers have what time is left."""
        started_s, grace_s = anyio.current_time(), self.config.abort_grace_s
        deadline_s = started_s + self.config.drain_deadline_s
        tasks = len(self._sessions) + len(self._feeds)
        aborted: tuple[str, ...] = ()
        stuck: tuple[str, ...] = ()
        for tracker in (self._sessions, self._feeds):
            tracker.close()
            # Connections may have used all the time, and a handler that keeps up needs a moment.
            until_s = max(deadline_s, anyio.current_time() + grace_s / 4)
            with anyio.CancelScope(deadline=until_s):
                await tracker.wait()
            aborted += tracker.names()
            tracker.abort_all()
            with anyio.move_on_after(grace_s / 2):
                await tracker.wait()
            stuck += tracker.names()
            self._frames.close()  # handlers end when they have read what is there
        elapsed_s = anyio.current_time() - started_s
        report = ShutdownReport(reason, tasks - len(aborted), aborted, stuck, elapsed_s)
        log.info("shutdown_complete", clean=report.clean)
        return report

    ### END SOLUTION
