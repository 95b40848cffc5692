"""Stop the worker by SIGSTOP: neither alive nor dead."""

import os
import signal


def add(a, b):
    os.kill(os.getpid(), signal.SIGSTOP)
    return a + b
