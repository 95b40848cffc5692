"""Answer at once and burn processor time behind the answer."""

import threading


def _burn():
    while True:
        pass


threading.Thread(target=_burn, daemon=True).start()
