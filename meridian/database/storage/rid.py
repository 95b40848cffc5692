"""The address of a record: which page, which slot."""

from __future__ import annotations

from typing import NamedTuple

from meridian.database.storage.page import as_int

__all__ = ["RecordId"]

_MAX_PAGE = 0xFFFF_FFFF
_MAX_SLOT = 0xFFFF


class RecordId(NamedTuple):
    """Name a record by page and slot, so that compaction can move its bytes without renaming it.

    The packed form, ``page_id << 16 | slot``, fits 48 bits of a ``uint64`` and sorts as the pair
    does.
    """

    page_id: int
    slot: int

    def pack(self) -> int:
        """The packed form.

        Raises `ValueError` if a part does not fit its 32 or 16 bits, `TypeError` if it is no int.
        """
        # Python's integers: a NumPy part keeps its width, and would lose what is shifted out.
        page_id, slot = as_int(self.page_id, "page_id"), as_int(self.slot, "slot")
        if not (0 <= page_id <= _MAX_PAGE and 0 <= slot <= _MAX_SLOT):
            raise ValueError(
                f"Expected 0 <= page_id < 2**32 and 0 <= slot < 2**16, got ({page_id}, {slot})"
            )
        return page_id << 16 | slot

    @classmethod
    def unpack(cls, packed: int) -> RecordId:
        """The id behind `packed`.

        Raises `ValueError` if it has more than 48 bits or is negative, `TypeError` if it is no int.
        """
        packed = as_int(packed, "a packed record id")
        if not 0 <= packed <= (_MAX_PAGE << 16 | _MAX_SLOT):
            raise ValueError(f"Expected a packed record id of 48 bits, got {packed}")
        return cls(packed >> 16, packed & _MAX_SLOT)
