"""Archives that no honest program writes, made byte by byte."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest

from grader.intake import unpack
from grader.intake.collect import SubmissionRefused, collect
from grader.intake.intake import MAX_FILE_BYTES, MAX_FILES

LINK, FIFO, DEVICE, SOCKET = 0o120777, 0o010644, 0o060644, 0o140755
MODULE = b"x = 1\n"


class Member(NamedTuple):
    """One entry of a zip file; what is not said is told truly."""

    name: bytes = b"toy/__init__.py"
    content: bytes = MODULE
    mode: int = 0o100644
    method: int = 0
    flags: int = 0x800
    claimed_size: int | None = None
    crc: int | None = None
    local_name: bytes | None = None
    offset: int | None = None


def zip_of(*members: Member, directory_bytes: int | None = None, count: int | None = None) -> bytes:
    """A zip file by the book (APPNOTE 6.3), but for what `members` claim."""
    body, directory = bytearray(), bytearray()
    for one in members:
        data = one.content
        if one.method == 8:
            pack = zlib.compressobj(9, zlib.DEFLATED, -15)
            data = pack.compress(data) + pack.flush()
        crc = zlib.crc32(one.content) if one.crc is None else one.crc
        size = len(one.content) if one.claimed_size is None else one.claimed_size
        facts = (20, one.flags, one.method, 0, 33, crc, len(data), size)
        offset = len(body) if one.offset is None else one.offset
        local = one.name if one.local_name is None else one.local_name
        body += b"PK\3\4" + struct.pack("<5H3I2H", *facts, len(local), 0) + local + data
        directory += b"PK\1\2" + struct.pack("<H", 0x314)
        directory += struct.pack("<5H3I", *facts)
        directory += struct.pack("<5H2I", len(one.name), 0, 0, 0, 0, one.mode << 16, offset)
        directory += one.name
    counted = len(members) if count is None else count
    told = len(directory) if directory_bytes is None else directory_bytes
    end = struct.pack("<4H2IH", 0, 0, counted, counted, told, len(body), 0)
    return bytes(body + directory) + b"PK\5\6" + end


def tar_header(
    name: bytes, size: int = 0, kind: bytes = b"0", link: bytes = b"", raw_size: bytes = b""
) -> bytes:
    """One block of a ustar header with a true checksum."""
    block = bytearray(512)
    block[0 : len(name)] = name
    block[100:124] = b"0000644\0" + b"0000000\0" + b"0000000\0"
    block[124:136] = raw_size or b"%011o\0" % size
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def tar_of(*blocks: bytes) -> bytes:
    return b"".join(block + bytes(-len(block) % 512) for block in blocks) + bytes(1024)


def pax(**records: str) -> bytes:
    """The content of an extended header."""
    lines = b""
    for name, value in records.items():
        text = f" {name.replace('__', '.')}={value}\n".encode()
        length = len(text) + len(str(len(text)))
        length += len(str(length)) - len(str(len(text)))
        lines += str(length).encode() + text
    return lines


HONEST = tar_header(b"toy/__init__.py", len(MODULE))


def refused(tmp_path: Path, content: bytes) -> SubmissionRefused:
    (tmp_path / "upload").write_bytes(content)
    before = sorted(tmp_path.parent.iterdir())
    with pytest.raises(SubmissionRefused) as caught:
        collect(tmp_path / "upload", tmp_path / "out", "toy")
    assert sorted(tmp_path.parent.iterdir()) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"upload", "out"}
    assert caught.value.fix
    assert str(caught.value).isprintable()
    return caught.value


def test_the_makers_make_what_is_taken(tmp_path: Path) -> None:
    for i, content in enumerate(
        (zip_of(Member()), zip_of(Member(method=8)), tar_of(HONEST, MODULE))
    ):
        (tmp_path / "upload").write_bytes(content)
        assert collect(tmp_path / "upload", tmp_path / str(i), "toy").total_bytes == len(MODULE)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"/toy/x.py", "an absolute name"),
        (b"//toy/x.py", "an absolute name"),
        (b"toy/../../x.py", "leads out"),
        (b"../toy/x.py", "leads out"),
        (b"..", "leads out"),
        (b"__pycache__/../../x", "leads out"),
        (b"toy\\x.py", "as Windows writes it"),
        (b"..\\x.py", "as Windows writes it"),
        (b"C:/toy/x.py", "as Windows writes it"),
        (b"c:x.py", "as Windows writes it"),
        (b"\\\\host\\share\\x.py", "as Windows writes it"),
        (b"toy/a\nb.py", "cannot be shown"),
        (b"toy/\x1b]0;x.py", "cannot be shown"),
        ("toy/\u202egnp.py".encode(), "cannot be shown"),
        ("toy/zero\u200bwidth.py".encode(), "cannot be shown"),
        (b"toy/x.so", "compiled code"),
        (b"toy/X.PYC", "compiled code"),
        (b"toy/inject.pth", "compiled code"),
        (b"toy/" + b"d/" * 9 + b"x.py", "deeper than"),
        (b"toy/__init__.py", "there twice"),
        (b"toy/./__init__.py", "there twice"),
        (b"toy//__init__.py", "there twice"),
        (b"toy/__INIT__.py", "the same name as"),
        (b"Toy/../toy/y.py", "leads out"),
        (b"toy/__init__.py/x.py", "a file and a folder"),
        ("toy/\uff3f_init__.py".encode(), "the same name as"),
    ],
)
def test_a_name_that_may_not_be_is_refused_by_that_name(
    tmp_path: Path, name: bytes, reason: str
) -> None:
    error = refused(tmp_path, zip_of(Member(), Member(name)))
    assert reason in error.reason
    error = refused(tmp_path, tar_of(HONEST, MODULE, tar_header(name, len(MODULE)), MODULE))
    assert reason in error.reason


def test_one_letter_in_two_forms_is_one_name(tmp_path: Path) -> None:
    names = ("toy/\u00e9.py", "toy/e\u0301.py")
    both = zip_of(*(Member(name.encode()) for name in names))
    assert "the same name as" in refused(tmp_path, both).reason
    folder = tmp_path / "folder" / "toy"
    folder.mkdir(parents=True)
    for name in ("Page.py", "page.py"):
        (folder / name).write_bytes(MODULE)
    if len(list(folder.iterdir())) == 2:  # a file system that tells them apart
        with pytest.raises(SubmissionRefused, match="the same name as"):
            collect(folder.parent, tmp_path / "out2", "toy")


def test_a_nul_does_not_cut_a_name(tmp_path: Path) -> None:
    error = refused(tmp_path, zip_of(Member(), Member(b"toy/y.py\0.txt")))
    assert "NUL" in error.reason


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (LINK, "a symbolic link"),
        (FIFO, "neither a file"),
        (DEVICE, "neither a file"),
        (SOCKET, "neither a file"),
    ],
)
def test_a_zip_entry_that_is_no_file_is_refused(tmp_path: Path, mode: int, reason: str) -> None:
    for name in (b"toy/x.py", b"capstone.ipynb", b"toy"):
        assert reason in refused(tmp_path, zip_of(Member(), Member(name, b"/etc", mode))).reason
    # Outside of what is taken it is nobody's business, as in a folder.
    (tmp_path / "fine").write_bytes(zip_of(Member(), Member(b".venv/bin/python", b"x", mode)))
    assert collect(tmp_path / "fine", tmp_path / "out3", "toy").files == ("toy/__init__.py",)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (b"1", "a hard link"),
        (b"2", "a symbolic link"),
        (b"3", "neither a file"),
        (b"4", "neither a file"),
        (b"6", "neither a file"),
        (b"S", "a sparse file"),
        (b"Z", "neither a file"),
    ],
)
def test_a_tar_entry_that_is_no_file_is_refused(tmp_path: Path, kind: bytes, reason: str) -> None:
    linked = tar_header(b"toy/x.py", 0, kind, b"/etc/passwd")
    assert reason in refused(tmp_path, tar_of(HONEST, MODULE, linked)).reason
    folder_link = tar_header(b"toy", 0, kind, b"/etc")
    assert reason in refused(tmp_path, tar_of(folder_link, HONEST, MODULE)).reason


def test_encrypted_and_strangely_packed_entries_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, zip_of(Member(flags=1))).reason == "encrypted"
    assert refused(tmp_path, zip_of(Member(flags=0x41))).reason == "encrypted"
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93, 99):
        assert "compressed in a way" in refused(tmp_path, zip_of(Member(method=method))).reason


@pytest.mark.parametrize("claimed", [0, 1, 5, 10**6, 2**32 - 2])
def test_a_size_that_is_a_lie_is_found_out(tmp_path: Path, claimed: int) -> None:
    for method in (0, 8):
        lying = Member(claimed_size=claimed, method=method)
        assert "broken" in refused(tmp_path, zip_of(lying)).reason


def test_a_checksum_that_does_not_fit_and_two_names_for_one_entry(tmp_path: Path) -> None:
    assert "broken" in refused(tmp_path, zip_of(Member(crc=1))).reason
    assert "broken" in refused(tmp_path, zip_of(Member(local_name=b"toy/__main__.py"))).reason


def test_a_bomb_is_put_out_early(tmp_path: Path) -> None:
    zeros = bytes(64 * 2**20)
    modest = Member(b"toy/x.py", zeros, method=8, claimed_size=100)
    for member, reason in ((modest, "broken"), (modest._replace(claimed_size=None), "larger than")):
        content = zip_of(Member(), member)
        tracemalloc.start()
        try:
            assert reason in refused(tmp_path, content).reason
            assert tracemalloc.get_traced_memory()[1] < 8 * MAX_FILE_BYTES
        finally:
            tracemalloc.stop()


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    kernel = Member(b"toy/a.py", bytes(10**6), method=8)
    again = [Member(b"toy/%d.py" % i, b"", offset=0) for i in range(50)]
    assert "overlapping" in refused(tmp_path, zip_of(kernel, *again)).reason
    # One entry's data is the next entry as a whole (Fifield 2019, quoted local headers).
    inner = zip_of(Member(b"toy/b.py", MODULE))
    outer = Member(b"toy/a.py", inner[: 30 + 8 + len(MODULE)])
    quoted = zip_of(Member(), outer, Member(b"toy/b.py", MODULE, offset=30 + 15 + 6 + 30 + 8))
    assert "overlapping" in refused(tmp_path, quoted).reason


def test_a_directory_larger_than_the_file_and_too_many_entries(tmp_path: Path) -> None:
    assert "broken" in refused(tmp_path, zip_of(Member(), directory_bytes=2**31)).reason
    many = [Member(b"x/%d" % i, b"") for i in range(unpack.MAX_ENTRIES + 1)]
    assert "more than" in refused(tmp_path, zip_of(Member(), *many)).reason
    # A directory of hundreds of thousands of entries is not even read.
    names = b"".join(
        b"PK\1\2" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"x" for _ in range(40_000)
    )
    end = struct.pack("<4H2IH", 0, 0, 40_000, 40_000, len(names), 0, 0)
    assert "asks for" in refused(tmp_path, b"PK\3\4" + names + b"PK\5\6" + end).reason
    inside = [Member(b"toy/m%d.py" % i, b"") for i in range(MAX_FILES + 1)]
    assert f"more than {MAX_FILES} files" in refused(tmp_path, zip_of(*inside)).reason


def test_an_archive_within_an_archive_is_a_file(tmp_path: Path) -> None:
    inner = zip_of(Member(b"toy/evil.py"))
    (tmp_path / "upload").write_bytes(zip_of(Member(), Member(b"toy/data.zip", inner)))
    taken = collect(tmp_path / "upload", tmp_path / "out", "toy")
    assert taken.files == ("toy/__init__.py", "toy/data.zip")
    # A gzip that unpacks to itself for ever (a quine) is unpacked once.
    twice = gzip.compress(gzip.compress(tar_of(HONEST, MODULE)))
    assert "broken" in refused(tmp_path, twice).reason


def test_layers_that_swell_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_UNPACKED_BYTES", 4 * 2**20)
    swollen = tar_of(HONEST, MODULE, tar_header(b"x", 8 * 2**20), bytes(8 * 2**20))
    for packed in (gzip.compress(swollen), lzma.compress(swollen)):
        assert "bytes unpacked" in refused(tmp_path, packed).reason
    monkeypatch.setattr(unpack, "MAX_ARCHIVE_BYTES", 1_000)
    assert "larger than 1000" in refused(tmp_path, tar_of(HONEST, MODULE)).reason


def test_a_dictionary_of_gigabytes_is_not_made(tmp_path: Path) -> None:
    packed = bytearray(lzma.compress(tar_of(HONEST, MODULE)))
    # xz block header: size, flags, filter 0x21, one byte of properties: the dictionary size.
    at = packed.index(b"\x21\x01", 12) + 2
    packed[at] = 40  # 4 GiB
    head = 12
    length = (packed[head] + 1) * 4
    packed[head + length - 4 : head + length] = struct.pack(
        "<I", zlib.crc32(packed[head : head + length - 4])
    )
    assert "Memory usage limit" in refused(tmp_path, bytes(packed)).reason


@pytest.mark.parametrize(
    "blocks",
    [
        # A size beyond the end, a negative one (base 256), one that is no number.
        [tar_header(b"toy/x.py", 2**30)],
        [tar_header(b"toy/x.py", raw_size=b"\xff" * 11 + b"\x00")],
        [HONEST, MODULE, tar_header(b"toy/x.py", raw_size=b"\xff" * 12)],
        [tar_header(b"toy/x.py", raw_size=b"not a number")],
        # An extended header that claims gigabytes, one that leads back, one within another.
        [tar_header(b"x", 2**33 - 1, b"x")],
        [tar_header(b"x", 8, b"x"), b"8 a=\xff\xfe\n"] * 2_000,
        [tar_header(b"x", 10, b"x"), b"999999 a=b"],
        [tar_header(b"x", len(pax(size="-1")), b"x"), pax(size="-1"), HONEST, MODULE],
        [tar_header(b"L", 2**31, b"L"), HONEST],
        # A sparse file of a terabyte.
        [
            tar_header(b"x", len(pax(GNU__sparse__major="1", GNU__sparse__minor="0")), b"x"),
            pax(GNU__sparse__major="1", GNU__sparse__minor="0"),
            HONEST,
            b"99999999\n",
        ],
        [
            tar_header(b"x", len(pax(GNU__sparse__map="0,1", GNU__sparse__size=str(2**40))), b"x"),
            pax(GNU__sparse__map="0,1", GNU__sparse__size=str(2**40)),
            HONEST,
            MODULE,
        ],
        # A header whose checksum is wrong in the middle: what follows would be lost in silence.
        [HONEST, MODULE, HONEST[:300] + b"!" + HONEST[301:], MODULE],
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, blocks: list[bytes]) -> None:
    error = refused(tmp_path, tar_of(*blocks))
    assert "broken" in error.reason or "sparse" in error.reason


def test_a_name_from_an_extended_header_is_judged_like_any_other(tmp_path: Path) -> None:
    records = pax(path="../../etc/cron.d/x")
    named = tar_of(tar_header(b"x", len(records), b"x"), records, HONEST, MODULE)
    assert "leads out" in refused(tmp_path, named).reason
    long = tar_of(tar_header(b"././@LongLink", 12, b"L"), b"toy/../../x\0", HONEST, MODULE)
    assert "leads out" in refused(tmp_path, long).reason


def test_a_tar_without_an_end_or_with_a_torn_one_is_refused(tmp_path: Path) -> None:
    whole = tar_of(HONEST, MODULE)
    for end in (512, 1_000, 1_024, 1_100):
        assert "broken" in refused(tmp_path, whole[:end]).reason
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("toy/__init__.py"))
    assert "broken" in refused(tmp_path, stream.getvalue()[:-4]).reason
