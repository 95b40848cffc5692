"""What the broker is told, what it passes on, and what it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meridian.checks import checked_int, checked_seconds
from meridian.orbital.framing import MAX_PAYLOAD, FrameDecoder

if TYPE_CHECKING:
    from meridian.foundation.channels.broadcast import BroadcastReceiver

__all__ = ["BrokerConfig", "BrokerStats", "Frame", "HandlerStats", "Processor"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it came from a connection; the payload is opaque to the broker."""

    station_id: str
    payload: bytes


Processor = Callable[[Frame], "Frame | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    """How a broker serves. Raises `TypeError` and `ValueError` for what makes no sense."""

    host: str = "0.0.0.0"
    port: int = 7777
    """0 for one that the system chooses; `Broker.serve` reports which."""
    broadcast_capacity: int = 256
    """Frames that a handler may be behind before it misses the oldest."""
    max_payload: int = MAX_PAYLOAD
    """Bytes; a header that announces more ends its connection."""
    drain_deadline_s: float = 10.0
    """What all connections and handlers together have to finish after shutdown is requested."""
    abort_grace_s: float = 1.0
    """What those have that did not, after they were aborted, before they are reported as stuck."""
    processor: Processor | None = None
    """Called with each frame in a thread; its result is passed on, ``None`` rejects the frame."""
    processor_threads: int = 4

    def __post_init__(self) -> None:
        if not isinstance(self.host, str):
            raise TypeError(f"Expected host as str, got {type(self.host).__name__}")
        checked_int("port", self.port, most=65_535)
        checked_int("broadcast_capacity", self.broadcast_capacity, least=1)
        checked_int("processor_threads", self.processor_threads, least=1)
        checked_seconds("drain_deadline_s", self.drain_deadline_s, finite=True)
        checked_seconds("abort_grace_s", self.abort_grace_s, finite=True)
        if self.processor is not None and not callable(self.processor):
            raise TypeError(f"Expected a processor to call, got {self.processor!r}")
        FrameDecoder(self.max_payload)  # refuses it, if it makes no sense


@dataclass(slots=True)
class BrokerStats:
    """What a broker has done so far; it goes on counting."""

    accepted: int = 0
    """Connections."""
    active: int = 0
    """Connections that are open now."""
    frames: int = 0
    """Whole frames that came in, those that the processor rejected included."""
    bytes: int = 0
    """Their payloads."""
    rejected_frames: int = 0
    """Headers that announced too much, and frames that the processor rejected or failed on."""
    truncated: int = 0
    """Connections that ended inside a frame."""
    handler_errors: int = 0
    """Exceptions of all handlers."""


class HandlerStats:
    """What one handler has seen so far; it goes on counting.

    When the broker has ended, ``received + missed`` is what it passed on since the handler
    subscribed: a frame that an aborted handler was not given any more counts as missed.
    """

    __slots__ = ("_not_given", "_receiver", "errors", "name", "received")

    def __init__(self, name: str) -> None:
        self.name = name
        self.received = 0  # frames it was called with
        self.errors = 0  # calls that raised
        self._receiver: BroadcastReceiver[Frame] | None = None
        self._not_given = 0

    @property
    def missed(self) -> int:
        """Frames that were overwritten before the handler came to them."""
        return self._not_given + (self._receiver.missed if self._receiver is not None else 0)

    def _settle(self) -> None:
        if (receiver := self._receiver) is not None:
            self._not_given = receiver.pending + receiver.received - self.received

    def __repr__(self) -> str:
        return (
            f"HandlerStats(name={self.name!r}, received={self.received}, "
            f"missed={self.missed}, errors={self.errors})"
        )
