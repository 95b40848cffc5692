"""The time that a submission's processes take is read from outside, whatever they say."""

from __future__ import annotations

import time
from collections.abc import Callable

from grader.box.workers import Workshop
from grader.limits import Limits
from grader.proxy.submission import Submission

LIMITS = Limits(question_s=20, start_s=60)
BURN = """
from resource import RUSAGE_SELF, getrusage
end = getrusage(RUSAGE_SELF).ru_utime + 0.4
while getrusage(RUSAGE_SELF).ru_utime < end:
    pass
"""
LIE = "import time; time.process_time = time.thread_time = lambda: 0.0"


def test_cpu_time_is_counted_by_the_kernel(walls: str, laboratory: Callable[..., Workshop]) -> None:
    real = time.process_time, time.thread_time
    submission = Submission(laboratory(walls, LIMITS), "lab")
    try:
        submission.do(LIE)
        before_s = submission.cpu_s()
        submission.do(BURN)
        used_s = submission.cpu_s() - before_s
        assert 0.3 < used_s < 3.0, "0.4 s of its own code, and what the kernel did for it"
        before_s = submission.cpu_s()
        time.sleep(0.3)
        assert submission.cpu_s() - before_s < 0.2
        submission.restart()
        assert submission.cpu_s() >= before_s, "what is over is counted on"
    finally:
        submission.close()
        time.process_time, time.thread_time = real
