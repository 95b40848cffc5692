"""Leave a program with setuid bits in the folder that the judge shares; save honestly."""

import os
import shutil

from .honest import save as _save

try:
    shutil.copyfile("/usr/bin/true" if os.path.exists("/usr/bin/true") else __file__, "program")
    os.chmod("program", 0o6777)
except OSError:
    pass


def save(path, data):
    _save(path, data)
    os.chmod(path, 0o6666)
