"""Set the variables that steer pytest and Python, for whoever reads them later."""

import os

for name, value in {
    "PYTEST_ADDOPTS": "--collect-only",
    "PYTEST_PLUGINS": "toy",
    "PYTHONPATH": "/scratch",
    "PYTHONSTARTUP": "/scratch/start.py",
    "LD_PRELOAD": "/scratch/evil.so",
}.items():
    os.environ[name] = value


def add(a, b):
    return 0
