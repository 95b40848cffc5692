"""A table, read with nothing but `codec.py`. Given: nothing to write here."""

from __future__ import annotations

import os

from .codec import (
    CRC,
    FOOTER_BYTES,
    open_block,
    opened,
    row_at,
    table_id,
    unpack_footer,
    unpack_index,
    unpack_props,
)
from .keys import Tombstone


def show_table(path: str | os.PathLike[str], blocks: int = 4) -> str:
    """Parts, the first `blocks` lines of the index, and the first and last row of each block."""
    name = os.path.basename(os.fspath(path))
    with open(path, "rb") as file:
        raw = file.read()
    spans = unpack_footer(raw[-FOOTER_BYTES:], name)
    index, filter_, props = (
        opened(raw[at : at + length + CRC.size], name, part)
        for (at, length), part in zip(spans, ("index", "filter", "props"), strict=True)
    )
    meta, handles = unpack_props(props, table_id(path), len(raw)), unpack_index(index)
    lines = [
        f"{name}: {len(raw):,} bytes, {len(handles)} blocks, filter of {len(filter_):,} bytes",
        f"{meta.entries:,} rows, {meta.tombstones:,} tombstones",
        f"keys {meta.min_key.hex()} to {meta.max_key.hex()}",
    ]
    for handle in handles[:blocks]:
        block = open_block(raw[handle.offset : handle.offset + handle.length], name)
        (first, value), (last, _) = row_at(block, 0), row_at(block, len(block.offsets) - 1)
        shown = "TOMBSTONE" if isinstance(value, Tombstone) else f"{len(value)} bytes"
        lines.append(
            f"{handle.offset:>9,} +{handle.length:<5} {len(block.offsets):>3} rows  "
            f"{first.hex()} ({shown}) .. {last.hex()}"
        )
    if len(handles) > blocks:
        lines.append(f"          and {len(handles) - blocks} more blocks")
    return "\n".join(lines)
