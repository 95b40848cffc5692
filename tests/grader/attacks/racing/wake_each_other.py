"""The same, and every child wakes the others all the time, should somebody stop them."""

import contextlib
import ctypes
import os
import signal

from .given import quick

_PR_SET_PDEATHSIG = 1

for _number in range(4):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)
        _fd = os.open(f"ticks{_number}", os.O_RDWR | os.O_CREAT)
        _tick = 0
        while True:
            _tick += 1
            os.pwrite(_fd, b"%d" % _tick, 0)
            with contextlib.suppress(OSError):
                os.kill(0, signal.SIGCONT)


def work(n):
    return quick(n)
