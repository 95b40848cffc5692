"""What can be wrong with a key. Given: nothing to write here."""

from __future__ import annotations

from meridian.database.storage import RecordId


class DuplicateKey(ValueError):
    """The key to insert is in the tree already. Nothing was changed."""

    def __init__(self, key: int, rid: RecordId) -> None:
        self.key = key
        self.rid = rid
        super().__init__(f"Key {key} is in the tree: page {rid.page_id}, slot {rid.slot}")


class KeyRange(ValueError):
    """Something that is no key: keys are ints from 0 to 4,294,967,295, bool is none."""

    def __init__(self, value: object) -> None:
        self.value = value
        super().__init__(f"Expected a key from 0 to 4294967295 as int, got {value!r:.60}")
