"""Take all memory and catch the error, to be found out by the clock."""

import contextlib


def add(a, b):
    hoard = []
    while True:
        with contextlib.suppress(MemoryError):
            hoard.append(bytes(10**7))
