"""`meridian.database.storage` under the names of the capstone, so that one suite judges both."""

from __future__ import annotations

from meridian.database.storage import *  # noqa: F403
from meridian.database.storage import RecordId

from .acceptance import run_acceptance
from .tle import TleRecord

__all__ = ["RecordId", "TleRecord", "run_acceptance"]
