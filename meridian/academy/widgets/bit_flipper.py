"""Flip one bit of a page and let the engine read it."""

from __future__ import annotations

from dataclasses import dataclass

import ipywidgets

from meridian.academy.widgets.page_regions import read_page_map
from meridian.academy.widgets.page_svg import paint_page
from meridian.academy.widgets.playground import Playground, Shown
from meridian.database.storage import StorageError, verify

__all__ = ["BitFlipper", "FlipOutcome"]


@dataclass(frozen=True, slots=True)
class FlipOutcome:
    """What reading a page says after one flip. `error` is "" when the damage went unseen."""

    byte: int
    bit: int
    part: str
    error: str
    message: str


class BitFlipper(Playground):
    """Two sliders choose a bit; the picture shows it and the verdict of `verify`.

    `page` is a sealed page and stays as it is; `page_id` the id it is read under.
    """

    def __init__(self, page: bytes | bytearray | memoryview, page_id: int, byte: int = 0) -> None:
        self._intact = bytes(page)
        self._page_id = page_id
        verify(self._intact, page_id)
        self._parts = read_page_map(self._intact)
        wide = ipywidgets.Layout(width="44rem")
        self.byte = ipywidgets.IntSlider(byte, 0, len(page) - 1, description="byte", layout=wide)
        self.bit = ipywidgets.IntSlider(5, 0, 7, description="bit")
        super().__init__([self.byte, self.bit], self._read)

    def flipped(self) -> bytearray:
        """The page with the chosen bit flipped."""
        page = bytearray(self._intact)
        page[self.byte.value] ^= 1 << self.bit.value
        return page

    def outcome(self) -> FlipOutcome:
        """Read the flipped page as the engine would."""
        region = self._parts.at(self.byte.value)
        part = f"{region.kind.value} {region.label}".strip()
        error = message = ""
        try:
            verify(self.flipped(), self._page_id)
        except StorageError as refused:
            error, message = type(refused).__name__, str(refused)
        return FlipOutcome(self.byte.value, self.bit.value, part, error, message)

    def _read(self) -> Shown:
        """The damaged page, the flipped byte ringed, the engine's words above it."""
        page, outcome = self.flipped(), self.outcome()
        words = f"{outcome.error}: {outcome.message}" if outcome.error else "the damage is unseen"
        title = f"Bit {outcome.bit} of byte {outcome.byte:,} ({outcome.part})"
        at = outcome.byte - outcome.byte % 16
        svg = paint_page(
            read_page_map(page),
            bytes(page),
            title=title,
            verdict=(not outcome.error, words),
            arrows=False,
            mark=outcome.byte,
            hex_range=(at, at + 16),
        )
        return Shown(f"{title}: {words}", (svg,), aloud=False)
