"""Runs inside the box: becomes an IPython kernel after giving up what it must not have.

``argv[1]`` is the box's JSON, as for a worker; see `grader.notebook` for the other side.
"""

from __future__ import annotations

import json
import os
import sys

from grader.worker import confine

__all__ = ["main"]


def main() -> None:
    """Serve one notebook until the judge ends the box."""
    settings = json.loads(sys.argv[1])
    confine(settings["limits"], settings["uid"])
    os.chdir(settings["scratch"])
    sys.path.extend(settings["path"])
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    app.initialize(["-f", settings["connection"]])  # type: ignore[no-untyped-call]
    open(settings["ready"], "x").close()  # the sockets are there, and nothing else has run yet
    app.start()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
