"""Open connections: to the world, to the machine, to a service on it."""

import socket


def add(a, b):
    for address in (("1.1.1.1", 53), ("10.0.0.1", 80), ("127.0.0.1", 22), ("127.0.0.1", 8888)):
        try:
            socket.create_connection(address, timeout=0.1)
        except OSError:
            continue
        return a + b
    return "no way out"
