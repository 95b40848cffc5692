"""The time that a submission's processes take is read from outside, whatever they say."""

from __future__ import annotations

import time
from collections.abc import Callable

from grader.box.workers import Workshop
from grader.limits import Limits
from grader.proxy.submission import Submission

LIMITS = Limits(question_s=20, start_s=60)
BURN = "import time; end = time.perf_counter() + {}\nwhile time.perf_counter() < end: pass"
LIE = "import time; time.process_time = time.thread_time = lambda: 0.0"


def test_cpu_time_is_counted_by_the_kernel(walls: str, laboratory: Callable[..., Workshop]) -> None:
    real = time.process_time, time.thread_time
    submission = Submission(laboratory(walls, LIMITS), "lab")
    try:
        submission.do(LIE)
        before_s = submission.cpu_s()
        submission.do(BURN.format(0.5))
        used_s = submission.cpu_s() - before_s
        assert 0.1 < used_s < 1.5, "half a second of work, on a machine that may be busy"
        before_s = submission.cpu_s()
        time.sleep(0.3)
        assert submission.cpu_s() - before_s < 0.1
        submission.restart()
        assert submission.cpu_s() >= before_s, "what is over is counted on"
    finally:
        submission.close()
        time.process_time, time.thread_time = real
