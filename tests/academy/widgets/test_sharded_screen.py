"""What is lost at the borders of shards, and what is not."""

from __future__ import annotations

import numpy as np
import pytest
from svg_words import words

from meridian.academy.widgets.sharded_screen import ShardedScreen, paint_shards, shard


@pytest.mark.parametrize(("shards", "local"), [(1, 999), (2, 998), (4, 996), (8, 992)])
def test_neighbours_are_lost_at_borders_and_pairs_are_not(shards: int, local: int) -> None:
    found = shard(400 + 0.3 * np.arange(1_000), 5.0, shards)
    assert (found.local, len(found.lost), found.all_pairs) == (local, shards - 1, 15_864)
    said = words(paint_shards(found, 1_000))
    assert said.count("✘ lost") == shards - 1


def test_the_slider_changes_the_shards() -> None:
    widget = ShardedScreen()
    assert "999 of neighbours" in widget.static_text()
    widget.shards.value = 8
    assert "992 of neighbours" in widget.static_text()
    assert "neighbours, shard by shard: 992 alerts, 7 lost at borders" in words(widget.svg())
