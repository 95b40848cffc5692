"""Raise KeyboardInterrupt in the main thread, which stops a runner in the middle."""

import _thread


def add(a, b):
    _thread.interrupt_main()
    while True:
        pass
