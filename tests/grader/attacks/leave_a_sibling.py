"""Clone a child that belongs to the parent, so that whoever started the worker gets a stranger."""

import ctypes
import os
import time

_CLONE_PARENT, _SIGCHLD = 0x8000, 17


def add(a, b):
    pid = ctypes.CDLL(None).syscall(56, _CLONE_PARENT | _SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        time.sleep(900)
        os._exit(0)
    return a + b
