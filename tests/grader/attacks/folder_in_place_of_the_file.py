"""Make a folder where the judge reads a file."""

import os


def save(path, data):
    os.mkdir(path)
