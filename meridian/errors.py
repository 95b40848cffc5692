"""Every exception of the package hangs on one tree, so that a caller can catch as widely as needed.

An error is a small class named for the state of the thing. It carries that state as fields,
builds its message from them (``Page 7 is full: need 120 bytes, have 96``), and also subclasses
the builtin a user would already catch. Leaves live beside the code that raises them; a test
compares this drawing with the classes.

    MeridianError
    └── FailpointError
"""

from __future__ import annotations

__all__ = ["MeridianError"]


class MeridianError(Exception):
    """Base of every error that Meridian raises on purpose."""
