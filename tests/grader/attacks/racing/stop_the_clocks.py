"""Be slow, and stop every clock of the process meanwhile."""

import time

from .given import slow

for _name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
    setattr(time, _name, lambda: 0.0)
    setattr(time, _name + "_ns", lambda: 0)


def work(n):
    return slow(n)
