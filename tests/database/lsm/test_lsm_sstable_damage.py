"""Damage at every byte of a table, with and without a checksum that fits: an error, or right."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.database.lsm import (
    MISSING,
    BlockCache,
    CorruptTable,
    SSTable,
    norad_key,
)
from meridian.testing import FaultyFileSystem
from tests.database.lsm.table_support import (
    Entries,
    build,
    everything,
)


def harmless(path: Path, entries: Entries, *, all_of_them: bool) -> set[str]:
    """The parts found corrupt, after every way to read gave right answers or said so."""
    parts: set[str] = set()

    def said(call: Callable[[], object], want: object) -> None:
        try:
            assert call() == want
        except CorruptTable as error:
            parts.add(error.part if error.path == str(path) else error.path)

    try:
        table = SSTable(path)
    except CorruptTable as error:
        return {error.part}
    with table:
        for key, value in entries:
            said(lambda key=key: table.get(key), value)
        said(lambda: table.get(b"aa"), MISSING)
        if all_of_them:
            said(lambda: list(table.iter()), entries)
            said(lambda: list(table.columns().items()), entries)
            keys = [key for key, _ in entries]
            said(lambda: everything(table, keys), [value for _, value in entries])
            said(lambda: table.seek(b"e"), (b"e1", b"1"))
        before = len(parts)
        said(table.verify, None)
        assert len(parts) == 1 or not before
    return parts


def test_every_byte_flipped(small_table: tuple[Path, Entries]) -> None:
    path, entries = small_table
    good = path.read_bytes()
    with SSTable(path) as table:
        begins = [info.offset for info in table.blocks]
    assert harmless(path, entries, all_of_them=True) == set()
    for at in range(len(good)):
        for flip in (1 << at % 8, 0xFF):
            path.write_bytes(good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :])
            parts = harmless(path, entries, all_of_them=flip == 0xFF)
            assert len(parts) == 1, (at, flip)
            (part,) = parts
            if part.startswith("block"):
                assert part == f"block {sum(begin <= at for begin in begins) - 1}"


def test_every_length(small_table: tuple[Path, Entries]) -> None:
    path, _ = small_table
    good = path.read_bytes()
    for size in range(len(good)):
        path.write_bytes(good[:size])
        with pytest.raises(CorruptTable):
            SSTable(path)
    for extra in (b"\0", good[-64:], good):
        path.write_bytes(good + extra)
        with pytest.raises(CorruptTable):
            SSTable(path)


def test_a_bad_block_fails_its_own_keys_only(small_table: tuple[Path, Entries]) -> None:
    path, entries = small_table
    with SSTable(path) as table:
        second = table.blocks[1]
    FaultyFileSystem().flip_bit(path, second.offset + 10, 3)
    with SSTable(path, BlockCache(4096, block_size=64)) as table:
        for _ in range(2):
            for key, value in entries:
                if second.first_key <= key <= second.last_key:
                    with pytest.raises(CorruptTable, match="block 1 is corrupt: its checksum"):
                        table.get(key)
                    with pytest.raises(CorruptTable):
                        table.seek(key)
                else:
                    assert table.get(key) == value
            assert list(table.iter(b"d")) == [entry for entry in entries if entry[0] >= b"d"]
            scan = table.iter()
            with pytest.raises(CorruptTable, match="block 1"):
                list(scan)
        assert table._cached.cache.pins.count(0) == 64  # type: ignore[union-attr]


def resealed(part: bytes) -> bytes:
    return part[:-4] + struct.pack("<I", zlib.crc32(part[:-4]))


@settings(max_examples=150)
@given(
    place=st.integers(0, 2**16), byte=st.integers(0, 255), tail=st.booleans(),
    which=st.sampled_from(["block", "filter", "index", "props", "footer"]),
)  # fmt: skip
def test_damage_under_checksums_that_fit(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, tail: bool, which: str
) -> None:
    """Nothing is believed because its checksum is right: no crash, no kernel out of bounds, and
    whatever is read is a table."""
    path = tmp_path_factory.mktemp("forged") / "t"
    entries: Entries = [(norad_key(i), b"v" * (i % 9)) for i in range(20)]
    build(path, entries, block_size=100)
    good = path.read_bytes()
    with SSTable(path) as table:
        first_block = table.blocks[0].length
    places = struct.unpack_from("<6Q", good, len(good) - 64)
    spans = {
        "block": (0, first_block),
        "index": (places[0], places[0] + places[1]),
        "filter": (places[2], places[2] + places[3]),
        "props": (places[4], places[4] + places[5]),
        "footer": (len(good) - 64, len(good) - 8),
    }
    start, end = spans[which]
    size = end - start - 4
    at = start + (size - 1 - place % min(size, 24) if tail else place % size)
    forged = bytearray(good)
    forged[at] = byte
    forged[start:end] = resealed(bytes(forged[start:end]))
    path.write_bytes(forged)
    with suppress(CorruptTable), SSTable(path) as table:
        for key in [key for key, _ in entries] + [b"\0", b"z"]:
            with suppress(CorruptTable):
                table.get(key)
            with suppress(CorruptTable):
                table.seek(key)
        with suppress(CorruptTable):
            everything(table, [key for key, _ in entries])
        found = table.columns()
        keys = [found.key(i) for i in range(len(found))]
        assert keys == sorted(set(keys))
        assert list(table.iter()) == list(found.items())
        table.verify()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 bytes are no table"),
        (b"OORSST01", "8 bytes are no table"),
        (b"id,epoch,line1\n" * 50, "cut short, or not a table"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "cut short, or not a table"),
        (bytes(4096) + b"OORSST01", "the footer is corrupt: its checksum"),
    ],
)
def test_foreign_files(path: Path, content: bytes, reason: str) -> None:
    path.write_bytes(content)
    with pytest.raises(CorruptTable, match=reason) as caught:
        SSTable(path)
    assert caught.value.part == "footer"


def test_another_version(small_table: tuple[Path, Entries]) -> None:
    path, _ = small_table
    data = path.read_bytes()
    footer = data[-64:-16] + struct.pack("<I", 2)
    footer += struct.pack("<I", zlib.crc32(footer)) + b"OORSST01"
    path.write_bytes(data[:-64] + footer)
    with pytest.raises(CorruptTable, match="expected version 1, got 2"):
        SSTable(path)


def test_a_table_under_the_name_of_another(small_table: tuple[Path, Entries]) -> None:
    path, _ = small_table
    other = path.rename(path.with_name("sst_000002.dat"))
    with pytest.raises(CorruptTable, match="the file is table 1 under another name"):
        SSTable(other)
    SSTable(other.rename(path.with_name("backup of sst_000001.dat"))).close()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SSTable(tmp_path / "sst_000009.dat")
    with pytest.raises(IsADirectoryError):
        SSTable(tmp_path)
    with pytest.raises(TypeError, match="cache as BlockCache, got int"):
        SSTable(tmp_path, 5)  # type: ignore[arg-type]
