"""The runtimes of the ground segment: what must not wait, and what may."""

from __future__ import annotations

from meridian.foundation.tasks.runtime import Runtime
from meridian.foundation.tasks.runtime_config import RuntimeConfig

__all__ = ["housekeeping_runtime", "ingress_runtime"]


def ingress_runtime(backend: str = "asyncio") -> Runtime:
    """For the telemetry ingress: few blocking calls, small stacks. Not started yet."""
    return Runtime(
        RuntimeConfig(
            name="meridian-ingress",
            backend=backend,
            blocking_threads=4,
            thread_stack_size=2 * 1024 * 1024,
        )
    )


def housekeeping_runtime(backend: str = "asyncio") -> Runtime:
    """For the work beside it, such as the catalog's refresh (every 300 s, some 200 ms for each
    source): many blocking calls, which never queue before those of the ingress. Not started yet.
    """
    return Runtime(
        RuntimeConfig(name="meridian-housekeeping", backend=backend, blocking_threads=32)
    )
