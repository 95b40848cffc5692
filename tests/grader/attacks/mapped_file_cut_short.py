"""Die of SIGBUS: map a file and cut it off."""

import mmap


def save(path, data):
    with open(path, "w+b") as file:
        file.truncate(8192)
        view = mmap.mmap(file.fileno(), 8192)
        file.truncate(0)
        view[0] = 1
