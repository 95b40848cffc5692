"""Leave, but let a child hold the pipe, so that its end is never seen."""

import os
import time


def add(a, b):
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
