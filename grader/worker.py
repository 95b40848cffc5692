"""The worker process: gives up every privilege, then serves the judge. See `grader.servant`."""

from __future__ import annotations

import json
import os
import sys

from grader.servant import EXIT_NO_MEMORY, Servant, serve

__all__ = ["EXIT_NO_MEMORY", "Servant", "confine", "main"]


def confine(limits: dict[str, int], uid: int | None) -> None:
    """Set hard limits and give up every privilege, before the first line of the submission."""
    import resource

    for name, amount in limits.items():
        hard = amount + 1 if name == "CPU" else amount  # SIGXCPU first: it names the cause
        resource.setrlimit(getattr(resource, "RLIMIT_" + name), (amount, hard))
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def main() -> None:
    """Serve until the judge closes the pipe; ``argv[1]`` is the box's JSON."""
    settings = json.loads(sys.argv[1])
    confine(settings["limits"], settings["uid"])
    os.chdir(settings["scratch"])
    sys.path.extend(settings["path"])
    sys.dont_write_bytecode = True
    serve(settings["questions"], settings["answers"], settings["path"][0])


if __name__ == "__main__":
    main()
