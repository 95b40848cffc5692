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
        raise NotImplementedError(
            "foundation/01-tasks #9: unsubscribe() - check, then end the handler's task, nothing else"
        )

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
        raise NotImplementedError(
            "foundation/01-tasks #1: serve() - listen, a task for each connection; drain when told to"
        )
