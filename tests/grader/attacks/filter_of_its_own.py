"""Load a seccomp filter that kills at the next call: the worker must not pass for a success."""

import ctypes


def add(a, b):
    libc = ctypes.CDLL(None)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    libc.prctl(22, 1, 0, 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_STRICT
    return a + b
