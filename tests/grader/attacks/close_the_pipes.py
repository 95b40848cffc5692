"""Close every descriptor and stay."""

import os
import time


def add(a, b):
    os.closerange(0, 64)
    time.sleep(60)
