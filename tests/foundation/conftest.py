"""Everything asynchronous is tested on both event loops, in real or in virtual time."""

from __future__ import annotations

from meridian.testing.virtual_time import anyio_backend as anyio_backend
from meridian.testing.virtual_time import virtual_time as virtual_time
