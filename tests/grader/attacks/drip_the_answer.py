"""Send a true answer one byte at a time, so slowly that each wait alone is short."""

import time


def add(a, b):
    import os

    import msgspec

    payload = msgspec.msgpack.encode([0, b"x" * 10_000])
    for byte in len(payload).to_bytes(4, "little") + payload:
        for fd in range(3, 32):
            try:
                os.write(fd, bytes([byte]))
            except OSError:
                continue
        time.sleep(0.05)
