"""Screening in shards: what is lost at the borders, beside a screening of all pairs."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import ipywidgets
import numpy as np
import numpy.typing as npt

from meridian.academy.widgets.base import BAD, INK, LINE, svg_document
from meridian.academy.widgets.playground import Playground, Shown
from meridian.academy.widgets.svg_parts import BOLD, ON_FILL, text
from meridian.orbital.screening import screen_altitude

__all__ = ["ShardedScreen", "Sharding", "paint_shards", "shard"]

_WIDTH = 640.0


class Sharding(NamedTuple):
    """What screening neighbours shard by shard finds, and what there is."""

    shards: int
    local: int  # neighbours within a shard, closer than the threshold
    lost: tuple[int, ...]  # left one of each pair of neighbours that a border cuts
    all_pairs: int  # by `screen_altitude`, with as many workers


def shard(altitude_km: npt.NDArray[np.float64], threshold_km: float, shards: int) -> Sharding:
    """Screen neighbours in each of `shards` parts alone, and all pairs with as many workers."""
    borders = [len(altitude_km) * part // shards for part in range(shards + 1)]
    close = np.diff(altitude_km) < threshold_km
    local = sum(int(close[begin : end - 1].sum()) for begin, end in pairwise(borders))
    lost = tuple(border - 1 for border in borders[1:-1] if close[border - 1])
    ids = np.arange(len(altitude_km))
    found = screen_altitude(ids, altitude_km, threshold_km, workers=shards)
    return Sharding(shards, local, lost, len(found.object_a))


class ShardedScreen(Playground):
    """Objects ordered by altitude, cut into shards that each look at their own neighbours alone."""

    def __init__(self, objects: int = 1_000, *, shards: int = 1) -> None:
        self._altitude_km: npt.NDArray[np.float64] = 400 + 0.3 * np.arange(
            objects, dtype=np.float64
        )
        self.shards = ipywidgets.SelectionSlider(
            options=[1, 2, 4, 8], value=shards, description="shards"
        )
        super().__init__([self.shards], self._screen)

    def _screen(self) -> Shown:
        found = shard(self._altitude_km, 5.0, self.shards.value)
        words = (
            f"{found.shards} shards: {found.local:,} of neighbours shard by shard, "
            f"{found.all_pairs:,} of all pairs"
        )
        return Shown(words, (paint_shards(found, len(self._altitude_km)),), aloud=False)


def paint_shards(found: Sharding, objects: int) -> str:
    """The shards as boxes, a cross at each border where a pair is lost, and both counts."""
    left, wide = 8.0, _WIDTH - 16
    part = wide / found.shards
    parts = [text(8, 16, f"{objects:,} objects by altitude, {found.shards} threads", size=13,
                  extra=BOLD)]  # fmt: skip
    for number in range(found.shards):
        x = left + number * part
        parts.append(
            f'<rect x="{x + 1:.1f}" y="30" width="{part - 2:.1f}" height="34" rx="3" '
            f'fill="#a6cee3" style="stroke:{LINE}"/>'
        )
        words = f"{objects // found.shards - 1} pairs"
        parts.append(text(x + part / 2, 51, words, size=11, fill=ON_FILL, anchor="middle"))
    for border in found.lost:
        x = left + (border + 1) * wide / objects
        parts.append(text(x, 82, "✘ lost", size=10.5, fill=BAD, anchor="middle"))
    lost = len(found.lost)
    parts += [
        text(8, 106, f"neighbours, shard by shard: {found.local:,} alerts"
             + (f", {lost} lost at borders" if lost else ""), size=12, fill=INK),
        text(8, 126, f"screen_altitude, all pairs, {found.shards} workers: "
             f"{found.all_pairs:,} alerts", size=12, fill=INK),
    ]  # fmt: skip
    return svg_document(_WIDTH, 134, "".join(parts), title="Screening in shards")
