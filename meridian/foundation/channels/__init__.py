"""Channels: every way in which one task, thread or process hands something to another.

Read in this order: `mpsc` (each item handled once), `oneshot` (one answer), `broadcast` (everybody
sees every event), `watch` (the latest value), `fanin` (two urgencies, many feeds), `actor` and
`router` (tasks that own their state), `spsc` (records between threads or processes), `aggregator`
(all of it together). Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

# Functions that bear the name of their module: at once, or the module would stand in their place.
from meridian.foundation.channels.broadcast import broadcast as broadcast
from meridian.foundation.channels.oneshot import oneshot as oneshot
from meridian.foundation.channels.watch import watch as watch
from meridian.lazy import lazy_names

if TYPE_CHECKING:
    from meridian.foundation.channels.actor import *  # noqa: F403
    from meridian.foundation.channels.adapters import *  # noqa: F403
    from meridian.foundation.channels.aggregator import *  # noqa: F403
    from meridian.foundation.channels.broadcast import *  # noqa: F403
    from meridian.foundation.channels.config import *  # noqa: F403
    from meridian.foundation.channels.errors import *  # noqa: F403
    from meridian.foundation.channels.fanin import *  # noqa: F403
    from meridian.foundation.channels.frame_actor import *  # noqa: F403
    from meridian.foundation.channels.ingress import *  # noqa: F403
    from meridian.foundation.channels.mpsc import *  # noqa: F403
    from meridian.foundation.channels.oneshot import *  # noqa: F403
    from meridian.foundation.channels.payload import *  # noqa: F403
    from meridian.foundation.channels.policies import *  # noqa: F403
    from meridian.foundation.channels.registry import *  # noqa: F403
    from meridian.foundation.channels.router import *  # noqa: F403
    from meridian.foundation.channels.spsc import *  # noqa: F403
    from meridian.foundation.channels.unbounded import *  # noqa: F403
    from meridian.foundation.channels.watch import *  # noqa: F403

_EXPORTS = {
    "errors": (
        "AlreadySent",
        "ChannelClosed",
        "Empty",
        "Full",
        "Lagged",
        "ReplyDropped",
        "SendClosed",
        "SendTimeout",
    ),
    "mpsc": ("ChannelStats", "Permit", "Receiver", "Sender", "channel"),
    "payload": ("rows", "split_rows"),
    "registry": ("Registered", "Unbounded", "audit_unbounded", "channel_registry"),
    "unbounded": ("unbounded_channel",),
    "oneshot": ("OneReceiver", "OneSender", "oneshot"),
    "broadcast": ("BroadcastReceiver", "BroadcastSender", "BroadcastStats", "broadcast"),
    "watch": ("WatchReceiver", "WatchSender", "WatchStats", "watch"),
    "actor": ("Actor", "ActorDeadlock", "ActorFailed", "ActorHandle", "ActorStats"),
    "frame_actor": ("Aggregator", "AggregatorHandle"),
    "fanin": (
        "ArchivedReplay",
        "FrameSource",
        "LiveUplink",
        "MergedReceiver",
        "PriorityReceiver",
        "PrioritySender",
        "PriorityStats",
        "TaggedFrame",
        "merge",
        "priority_channel",
    ),
    "router": ("DuplicateSource", "Router", "RouterHandle", "RouterStats", "UnknownSource"),
    "policies": ("DropCounter", "forward_or_drop"),
    "spsc": ("RingClosed", "RingCorrupt", "RingMismatch", "RingStats", "SpscRing"),
    "ingress": ("CommandIngress",),
    "adapters": ("FeedReport", "WireFrame", "feed_from_broker"),
    "config": ("ControlPlaneConfig",),
    "aggregator": (
        "AggregatorConfig",
        "AggregatorReport",
        "AggregatorStats",
        "AggregatorUsed",
        "FeedKind",
        "Frame",
        "FramePriority",
        "PipelineStats",
        "ProcessFailed",
        "ShuttingDown",
        "SourceHandle",
        "TelemetryAggregator",
    ),
}
__all__ = sorted(name for names in _EXPORTS.values() for name in names)

__getattr__, __dir__ = lazy_names(__name__, _EXPORTS)
