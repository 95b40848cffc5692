"""What the broker is told, what it passes on, what it counts, and how it ended.

Given: nothing to write here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Frame:
    """One frame of one connection; the payload is opaque to the broker."""

    station_id: str
    payload: bytes


@dataclass(slots=True, frozen=True, kw_only=True)
class BrokerConfig:
    """How a broker serves."""

    host: str = "0.0.0.0"
    port: int = 7777
    broadcast_capacity: int = 256
    max_payload: int = 65_536
    drain_deadline_s: float = 10.0
    """For all connections and handlers together, from the request to shut down."""
    abort_grace_s: float = 1.0
    """For those that were aborted at the deadline to be gone."""
    processor: Callable[[Frame], Frame | None] | None = None
    """A plain function, called in a thread; ``None`` as its result rejects the frame."""
    processor_threads: int = 4


@dataclass(slots=True)
class BrokerStats:
    """What a broker has done so far; keep it up to date."""

    accepted: int = 0
    """Connections."""
    active: int = 0
    """Connections that are open now."""
    frames: int = 0
    """Whole frames that came in, those that the processor rejects included."""
    bytes: int = 0
    """Their payloads."""
    rejected_frames: int = 0
    """Lengths above the limit, and frames that the processor rejects or fails on."""
    truncated: int = 0
    """Connections that ended inside a frame."""
    handler_errors: int = 0
    """Exceptions of all handlers."""


@dataclass(slots=True)
class HandlerStats:
    """What one handler has seen so far; keep it up to date."""

    name: str
    received: int = 0
    """Frames it was called with."""
    missed: int = 0
    """Frames that it was too slow for."""
    errors: int = 0
    """Calls that raised."""


@dataclass(slots=True, frozen=True)
class ShutdownReport:
    """How a shutdown went."""

    reason: str
    drained: int
    """Connections and handlers that ended by themselves."""
    aborted: tuple[str, ...]
    """Names of those that had to be aborted: station ids, handler names."""
    stuck: tuple[str, ...]
    """Names of those among the aborted that ran on for all of `abort_grace_s`."""
    elapsed_s: float

    @property
    def clean(self) -> bool:
        """Whether all drained."""
        return not self.aborted
