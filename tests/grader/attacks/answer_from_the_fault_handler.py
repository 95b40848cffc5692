"""Have the interpreter itself write a traceback into the pipe."""

import faulthandler


def add(a, b):
    for fd in range(3, 32):
        try:
            faulthandler.dump_traceback(file=fd)
        except (OSError, ValueError, RuntimeError):
            continue
    return a + b
