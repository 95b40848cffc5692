"""Refuse every file operation of the process from now on, the worker's own included."""

import sys


def _refuse(event, arguments):
    if event == "open":
        raise RuntimeError("not today")


sys.addaudithook(_refuse)
