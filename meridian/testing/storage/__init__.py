"""An independent model of the page format and of the replacement policies, and contract checks.

Written from the format's description with the standard library alone: nothing here imports the
engine that it judges, so a mistake cannot be made on both sides by the same line of code. The
model is slow and plain on purpose. `check_*` run a contract against anything that has the public
names of `meridian.database.storage` as attributes: that module, a learner's package, an adapter.
"""

from __future__ import annotations

from meridian.testing.storage.format import (
    HEADER_SIZE,
    MAGIC,
    PAGE_SIZE,
    SLOT_SIZE,
    TOMBSTONE,
    DecodedPage,
    FileHeader,
    decode_file_header,
    decode_page,
    encode_page,
    page_crc,
)
from meridian.testing.storage.page_checks import (
    check_page_file,
    check_page_header,
    check_slotted_page,
)
from meridian.testing.storage.policies import NoVictim, Outcome, PolicyModel
from meridian.testing.storage.pool_checks import check_buffer_pool, check_page_manager
from meridian.testing.storage.slotted import SlottedPageModel

__all__ = [
    "HEADER_SIZE",
    "MAGIC",
    "PAGE_SIZE",
    "SLOT_SIZE",
    "TOMBSTONE",
    "DecodedPage",
    "FileHeader",
    "NoVictim",
    "Outcome",
    "PolicyModel",
    "SlottedPageModel",
    "check_buffer_pool",
    "check_page_file",
    "check_page_header",
    "check_page_manager",
    "check_slotted_page",
    "decode_file_header",
    "decode_page",
    "encode_page",
    "page_crc",
]
