"""Write garbage before the true answer."""

import contextlib
import os


def add(a, b):
    for fd in range(3, 32):
        with contextlib.suppress(OSError):
            os.write(fd, b"\x03\x00\x00\x00abc")
    return a + b
