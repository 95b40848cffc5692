"""`show_page`: look at a page. Given: nothing to write here."""

from __future__ import annotations

import struct

_HEADER = struct.Struct("<4sIBHHI")
_TYPES = {0: "FILE_HEADER", 1: "DATA", 2: "INDEX", 3: "FREE", 4: "OVERFLOW"}
_WIDTH = 64


def show_page(buf: bytes | bytearray | memoryview) -> str:
    """The page's regions as text: header fields, then one character for 1/64 of a line.

    `H` header, `D` slot directory, `.` free, `#` a live record, `x` bytes no slot points to.
    Reads the bytes only, so that it also shows a page that is wrong. `print(show_page(page))`.
    """
    page = bytes(buf)
    if len(page) < _HEADER.size:
        return f"{len(page)} bytes: too short for a page"
    magic, page_id, page_type, count, start, checksum = _HEADER.unpack_from(page)
    lines = [
        f"magic {magic!r}  page {page_id}  type {_TYPES.get(page_type, page_type)}",
        f"record_count {count}  free_space_offset {start}  checksum {checksum:#010x}",
    ]
    if page_type != 1:
        return "\n".join(lines)
    end = min(_HEADER.size + 4 * count, len(page))
    cells = bytearray(b"x" * len(page))
    cells[end:start] = b"." * max(0, start - end)
    cells[_HEADER.size : end] = b"D" * (end - _HEADER.size)
    cells[: _HEADER.size] = b"H" * _HEADER.size
    slots = list(struct.iter_unpack("<HH", page[_HEADER.size : end - (end - 17) % 4]))
    for offset, length in slots:
        if offset != 0xFFFF:
            stop = min(offset + (length & 0x7FFF), len(page))
            cells[offset:stop] = b"#" * max(0, stop - offset)
    step = max(1, len(page) // (_WIDTH * 8))
    picture = "".join(min(chr(c) for c in cells[i : i + step]) for i in range(0, len(cells), step))
    lines += [f"{i * step:5d} {picture[i : i + _WIDTH]}" for i in range(0, len(picture), _WIDTH)]
    dead = sum(offset == 0xFFFF for offset, _ in slots)
    lines.append(f"slots {count}: {count - dead} live, {dead} tombstones")
    return "\n".join(lines)
