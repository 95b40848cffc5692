"""A page to play with: insert, delete, compact, and watch the bytes move while the ids stay."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from meridian.academy.widgets.base import PicturedBox
from meridian.academy.widgets.page_picture import PagePicture
from meridian.academy.widgets.page_regions import PageMap, Slot, read_page_map
from meridian.academy.widgets.page_svg import paint_page
from meridian.database.storage import SLOT_SIZE, SlottedPage

__all__ = ["PagePainter", "named_record", "record_name"]

OBJECTS = (
    "ISS 25544", "HUBBLE 20580", "ENVISAT 27386", "TERRA 25994", "AQUA 27424", "METOP-B 38771",
    "SWARM-A 39452", "JASON-3 41240", "GOCE 34602", "CRYOSAT 36508", "AURA 28376", "SMOS 36036",
)  # fmt: skip
_FILLER = b"\xa5"


def named_record(name: str, length: int) -> bytes:
    """A record of `length` bytes that starts with its name, so that a picture can show it."""
    return (name.encode() + b"\0").ljust(length, _FILLER)[:length]


def record_name(record: bytes) -> str:
    """The name `named_record` put in, or as much of it as fitted."""
    return record.split(b"\0")[0].rstrip(_FILLER).decode("ascii", "replace")


class PagePainter(PicturedBox):
    """One `SlottedPage` under three buttons.

    Every call is the engine's own, on a real buffer; a refused insert says which of the two kinds
    of free space ran out. The same methods work from code: ``painter.insert(120)``.
    """

    def __init__(
        self, page_size: int = 1024, *, page_id: int = 7, names: Sequence[str] = OBJECTS
    ) -> None:
        if not names:
            raise ValueError("Expected at least one name to put on records, got none")
        self._size, self._page_id, self._names = page_size, page_id, tuple(names)
        self._view = ipywidgets.HTML()
        self._length = ipywidgets.IntSlider(
            96, 16, page_size // 2, 8, description="length", continuous_update=False
        )
        self._slot = ipywidgets.Dropdown(
            description="slot", layout=ipywidgets.Layout(width="14rem")
        )
        rows = [
            ipywidgets.HBox([self._length, self._button("Insert", self._on_insert)]),
            ipywidgets.HBox(
                [
                    self._slot,
                    self._button("Delete", self._on_delete),
                    self._button("Compact", lambda _: self.compact()),
                    self._button("Start again", lambda _: self.reset()),
                ]
            ),
            self._view,
        ]
        super().__init__(rows, draw=self.svg, alt="A slotted page with insert, delete, compact")
        self.reset()

    def _button(self, words: str, press: object) -> ipywidgets.Button:
        button = ipywidgets.Button(description=words)
        button.on_click(press)
        return button

    def reset(self) -> None:
        """An empty page again."""
        self.buf = bytearray(self._size)
        self.page = SlottedPage.format(self.buf, self._page_id)
        self._inserted = 0
        self._before: list[Slot] = []
        self.said = "an empty page: two numbers of free space, equal"
        self._refresh()

    def insert(self, length: int) -> int | None:
        """Insert the next object with a record of `length` bytes; its slot, or None."""
        name = self._names[self._inserted % len(self._names)]
        free, total = self.page.free_contiguous, self.page.free_total
        slot = self.page.insert(named_record(name, length))
        self._before = []
        if slot is None:
            need = length + (0 if self.page.live_count < self.page.slot_count else SLOT_SIZE)
            why = "not even in total" if total < need else "compacting would make room"
            room = f"needs {need}, has {free} contiguous, {total} in total"
            self.said = f"insert({length}) -> None: {room}; {why}"
        else:
            self._inserted += 1
            self.said = f"insert({length}) -> slot {slot}: {name} is ({self._page_id}, {slot})"
        self._refresh()
        return slot

    def delete(self, slot: int) -> bool:
        """Delete the record of `slot`: its bytes become garbage, its slot a tombstone."""
        self._before = []
        done = self.page.delete(slot)
        self.said = f"delete({slot}) -> {done}"
        self._refresh()
        return done

    def compact(self) -> int:
        """Slide the live records together; the bytes reclaimed."""
        self._before = self.map().slots
        reclaimed = self.page.compact()
        self.said = f"compact() -> {reclaimed} bytes reclaimed; dashed: where records lay before"
        self._refresh()
        return reclaimed

    def map(self) -> PageMap:
        """The page as it is now, taken apart."""
        return read_page_map(self.buf, label=record_name, sealed=False)

    def records(self) -> dict[int, bytes]:
        """Slot to bytes of every record on the page."""
        found = ((slot, self.page.get(slot)) for slot in range(self.page.slot_count))
        return {slot: bytes(record) for slot, record in found if record is not None}

    def picture(self) -> PagePicture:
        """The page as it is now, as a picture that stays as it is."""
        return PagePicture(self.svg(), self.map().summary())

    def svg(self) -> str:
        """The page as it is now, as SVG."""
        return paint_page(
            self.map(),
            bytes(self.buf),
            verdict=(not self.said.partition("-> ")[2].startswith(("None", "False")), self.said),
            before=self._before,
            rids=True,
        )

    def _on_insert(self, _: object) -> None:
        self.insert(self._length.value)

    def _on_delete(self, _: object) -> None:
        if self._slot.value is not None:
            self.delete(self._slot.value)

    def _refresh(self) -> None:
        self._view.value = self.svg()
        chosen = self._slot.value
        names = {region.slot: region.label for region in self.map().regions}
        live = [slot.index for slot in self.map().slots if slot.live]
        self._slot.options = [(f"{slot}: {names[slot]}", slot) for slot in live]
        self._slot.value = chosen if chosen in live else next(iter(live), None)
