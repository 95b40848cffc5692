"""Write garbage to every descriptor before the first question."""

import contextlib
import os

for fd in range(3, 32):
    with contextlib.suppress(OSError):
        os.write(fd, b"\x07\x00\x00\x00garbage")
