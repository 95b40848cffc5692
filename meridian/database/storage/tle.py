"""The element-set record that this engine was built to store; it lives in `meridian.orbital`."""

from __future__ import annotations

from meridian.orbital.tle import TLE_DTYPE, TleRecord, epoch_key

__all__ = ["TLE_DTYPE", "TleRecord", "epoch_key"]
