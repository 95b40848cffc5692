"""Threads, locks and atomics under the GIL and without it, and the command queue built from them.

Read in this order: `threads`, `mutex`, `lockdep`, `rwlock`, `condvar`, `async_mutex`, `atomics`,
`counters`, `litmus`, `primitives`, `cmdqueue`. Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meridian.lazy import lazy_names

if TYPE_CHECKING:
    from meridian.foundation.sync.async_mutex import *  # noqa: F403
    from meridian.foundation.sync.atomics import *  # noqa: F403
    from meridian.foundation.sync.chunks import *  # noqa: F403
    from meridian.foundation.sync.cmdqueue import *  # noqa: F403
    from meridian.foundation.sync.condvar import *  # noqa: F403
    from meridian.foundation.sync.confined import *  # noqa: F403
    from meridian.foundation.sync.counters import *  # noqa: F403
    from meridian.foundation.sync.errors import *  # noqa: F403
    from meridian.foundation.sync.litmus import *  # noqa: F403
    from meridian.foundation.sync.lockdep import *  # noqa: F403
    from meridian.foundation.sync.mutex import *  # noqa: F403
    from meridian.foundation.sync.primitives import *  # noqa: F403
    from meridian.foundation.sync.rwlock import *  # noqa: F403
    from meridian.foundation.sync.threads import *  # noqa: F403

_EXPORTS = {
    "errors": ("WrongThread",),
    "mutex": (
        "Guard",
        "GuardReleased",
        "LockConsumed",
        "LockOrderViolation",
        "LockTimeout",
        "LostGuard",
        "Mutex",
        "MutexStatistics",
        "PoisonError",
        "ReentrantLockError",
    ),
    "lockdep": (
        "LockCycle",
        "LockEdge",
        "LockNode",
        "LockdepReport",
        "ThreadState",
        "disable_lockdep",
        "enable_lockdep",
        "lockdep_report",
    ),
    "rwlock": ("ReadGuard", "RwLock", "RwLockStatistics", "UpgradeError", "WriteGuard"),
    "condvar": ("Condvar", "ForeignGuard"),
    "async_mutex": ("AsyncGuard", "AsyncMutex", "AsyncMutexStatistics"),
    "threads": ("Scope", "ScopeClosed", "ScopedThread", "scope"),
    "chunks": ("par_chunks",),
    "confined": ("ThreadConfined",),
    "atomics": (
        "AtomicArray",
        "IllegalOrder",
        "Order",
        "compare_exchange",
        "fence",
        "fetch_add",
        "fetch_and",
        "fetch_max",
        "fetch_min",
        "fetch_or",
        "fetch_sub",
        "fetch_xor",
        "increment_if_below",
        "load",
        "store",
        "swap",
    ),
    "counters": ("PipelineMetrics", "ShardedCounter"),
    "litmus": ("LITMUS", "LitmusTest", "NotEnoughCpus", "run_litmus"),
    "primitives": ("Primitives", "PrimitivesLike", "THREADING"),
    "cmdqueue": (
        "BadCapacity",
        "BadCommand",
        "Command",
        "CommandKind",
        "CommandQueue",
        "DemoReport",
        "Metrics",
        "MetricsSnapshot",
        "PopTimeout",
        "QueueBroken",
        "QueueFull",
        "QueueShutdown",
        "Sample",
        "run_demo",
    ),
}
__all__ = sorted(name for names in _EXPORTS.values() for name in names)

__getattr__, __dir__ = lazy_names(__name__, _EXPORTS)
