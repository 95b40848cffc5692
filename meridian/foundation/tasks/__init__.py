"""Tasks and their life: waiting, racing, stopping, draining; on asyncio and on trio.

Read in this order: `poll` (what a task is), `parking` and `readiness` (how one sleeps, how one is
asked), `select` (the first of several), `cancel` (telling a tree to stop), `exits` and `tracker`
(how tasks end), `shutdown`, and `broker` (all of it together). Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meridian.clock import SYSTEM_CLOCK as SYSTEM_CLOCK
from meridian.clock import Clock as Clock
from meridian.clock import SystemClock as SystemClock

# Functions that bear the name of their module: at once, or the module would stand in their place.
from meridian.foundation.tasks.select import select as select
from meridian.lazy import lazy_names

if TYPE_CHECKING:
    from meridian.foundation.tasks.blocking import *  # noqa: F403
    from meridian.foundation.tasks.broker import *  # noqa: F403
    from meridian.foundation.tasks.cancel import *  # noqa: F403
    from meridian.foundation.tasks.exits import *  # noqa: F403
    from meridian.foundation.tasks.lag import *  # noqa: F403
    from meridian.foundation.tasks.poll import *  # noqa: F403
    from meridian.foundation.tasks.poll_events import *  # noqa: F403
    from meridian.foundation.tasks.poll_futures import *  # noqa: F403
    from meridian.foundation.tasks.poll_timers import *  # noqa: F403
    from meridian.foundation.tasks.races import *  # noqa: F403
    from meridian.foundation.tasks.readiness import *  # noqa: F403
    from meridian.foundation.tasks.runtime import *  # noqa: F403
    from meridian.foundation.tasks.runtime_config import *  # noqa: F403
    from meridian.foundation.tasks.runtime_handles import *  # noqa: F403
    from meridian.foundation.tasks.runtime_presets import *  # noqa: F403
    from meridian.foundation.tasks.select import *  # noqa: F403
    from meridian.foundation.tasks.session import *  # noqa: F403
    from meridian.foundation.tasks.shutdown import *  # noqa: F403
    from meridian.foundation.tasks.signals import *  # noqa: F403
    from meridian.foundation.tasks.timeouts import *  # noqa: F403
    from meridian.foundation.tasks.tracker import *  # noqa: F403

_EXPORTS = {
    "poll": ("Context", "Future", "MiniExecutor", "MiniTask", "Waker"),
    "poll_events": ("NoResult", "PolledAfterCompletion", "Stalled", "StalledTask", "StepEvent"),
    "poll_futures": ("JoinAll", "from_coroutine", "polled"),
    "poll_timers": ("Sleep",),
    "readiness": ("CLOSED", "Closed", "PENDING", "Pending", "Ready", "Selectable"),
    "select": ("SelectExhausted", "select"),
    "races": ("Once", "deadline", "race"),
    "cancel": ("CancellationToken",),
    "exits": ("EXPECTED", "JoinTimeout", "TaskExit", "classify"),
    "tracker": (
        "EndedTask",
        "TaskAborted",
        "TaskHandle",
        "TaskTracker",
        "TrackerClosed",
        "abort_on_exit",
    ),
    "timeouts": ("STATION_FETCH_S", "Elapsed", "with_timeout"),
    "blocking": ("BlockingPool", "BlockingPoolClosed", "BlockingStats", "spawn_blocking"),
    "runtime": ("Runtime",),
    "runtime_config": ("RuntimeConfig", "RuntimeStats"),
    "runtime_handles": (
        "RuntimeNotRunning",
        "RuntimeUsed",
        "ThreadHandle",
        "WouldDeadlock",
    ),
    "runtime_presets": ("housekeeping_runtime", "ingress_runtime"),
    "lag": ("LagBucket", "LagStats", "LoopLagMonitor"),
    "session": (
        "PassOutcome",
        "PassSession",
        "PassUsed",
        "SessionState",
        "SimulatedLink",
        "manage_pass",
    ),
    "shutdown": ("ShutdownCoordinator", "ShutdownReport"),
    "signals": ("NotMainThread", "SignalTaken", "signal_monitor"),
    "broker": (
        "Broker",
        "BrokerConfig",
        "BrokerElsewhere",
        "BrokerStats",
        "BrokerUsed",
        "Frame",
        "HandlerNameTaken",
        "HandlerStats",
        "UnknownHandler",
    ),
}
__all__ = sorted(
    ["SYSTEM_CLOCK", "Clock", "SystemClock", *(n for names in _EXPORTS.values() for n in names)]
)

__getattr__, __dir__ = lazy_names(__name__, _EXPORTS)
