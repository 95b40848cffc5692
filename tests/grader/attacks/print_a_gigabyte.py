"""Fill the disk, or the memory of the judge, through stdout."""

import sys


def add(a, b):
    for _ in range(1024):
        sys.stdout.write("x" * 2**20)
