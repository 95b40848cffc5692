"""Answer from two processes at once."""

import os


def add(a, b):
    return a + b + (os.fork() == 0)
