"""Leave from a thread, where SystemExit ends only the thread; the rest is honest."""

import sys
import threading


def add(a, b):
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    return a + b
