"""Save honestly, then hold a lease on the file, so that opening it would wait for 45 s."""

import fcntl
import os
import signal

_KEPT = []
signal.signal(signal.SIGIO, signal.SIG_IGN)


def save(path, data):
    with open(path, "wb") as file:
        file.write(data)
    _KEPT.append(os.open(path, os.O_RDWR))
    fcntl.fcntl(_KEPT[-1], fcntl.F_SETLEASE, fcntl.F_WRLCK)
