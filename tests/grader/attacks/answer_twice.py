"""Answer a question once more from a thread, before the true answer."""

import os
import sys
import threading


def add(a, b):
    import msgspec

    frame = sys._getframe()
    while "number" not in frame.f_locals:
        frame = frame.f_back
    payload = msgspec.msgpack.encode([frame.f_locals["number"], a + b])

    def answer():
        for fd in range(3, 32):
            try:
                os.write(fd, len(payload).to_bytes(4, "little") + payload)
            except OSError:
                continue

    thread = threading.Thread(target=answer)
    thread.start()
    thread.join()
    return a + b
