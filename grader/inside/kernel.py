"""Runs inside the box, in a process that is confined already: becomes an IPython kernel.

See `grader.notebooks.boxed_kernel` for the other side.
"""

from __future__ import annotations

__all__ = ["serve_kernel"]


def serve_kernel(connection: str, ready: str) -> None:
    """Serve one notebook on the sockets named in `connection` until the judge ends the box.

    Makes the file `ready` when the sockets are there, before any cell can have run.
    """
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    app.initialize(["-f", connection])  # type: ignore[no-untyped-call]
    open(ready, "x").close()
    app.start()  # type: ignore[no-untyped-call]
