"""A result is the one that was sealed for this job, or an error; the first one written stays."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.cohort.errors import BrokenSeal
from grader.cohort.sealed import MAX_RESULT_BYTES, Results, job_secret, seal, unseal

SECRET = b"s" * 32
KEY = "ab" * 32
FILES = {"report.json": b"{}", "plots/race-1.svg": b"<svg/>"}
names = st.from_regex(r"[a-z][a-z0-9_.\-]{0,20}", fullmatch=True)


@given(st.dictionaries(names, st.binary(max_size=200), max_size=5), st.binary(min_size=1))
def test_what_was_sealed_comes_back(files: dict[str, bytes], secret: bytes) -> None:
    assert unseal(seal(files, secret), secret) == files


@given(st.data())
def test_every_other_bit_breaks_the_seal(data: st.DataObject) -> None:
    sealed = bytearray(seal(FILES, SECRET))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BrokenSeal):
        unseal(bytes(sealed), SECRET)


@given(st.integers(0, 200))
def test_a_result_cut_short_is_none(length: int) -> None:
    sealed = seal(FILES, SECRET)
    with pytest.raises(BrokenSeal):
        unseal(sealed[: min(length, len(sealed) - 1)], SECRET)


@given(st.binary(max_size=300))
def test_noise_is_no_result(noise: bytes) -> None:
    with pytest.raises(BrokenSeal):
        unseal(noise, SECRET)


def test_another_jobs_secret_does_not_open_it() -> None:
    one, other = job_secret(b"run", KEY), job_secret(b"run", "cd" * 32)
    with pytest.raises(BrokenSeal, match="seal does not fit"):
        unseal(seal(FILES, one), other)


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "plots/../x", "plots/", ".hidden", "a\0b", "a\nb", "x" * 200]
)
def test_only_plain_names_are_sealed(name: str) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        seal({name: b""}, SECRET)


def test_a_result_too_large_to_send() -> None:
    with pytest.raises(ValueError, match="may be sent"):
        seal({"a": bytes(MAX_RESULT_BYTES)}, SECRET)


def test_the_first_result_stays(tmp_path: Path) -> None:
    """Two workers judged the same job: what was entered is not replaced."""
    results = Results(tmp_path / "results")
    assert results.get(KEY, SECRET) is None
    results.put(KEY, seal({"a": b"first"}, SECRET), SECRET)
    results.put(KEY, seal({"a": b"second"}, SECRET), SECRET)
    assert results.get(KEY, SECRET) == {"a": b"first"}
    assert len(list(tmp_path.rglob("*.*"))) == 1, "no temporary file is left"
    results.discard(KEY)
    results.discard(KEY)
    assert results.get(KEY, SECRET) is None


@pytest.mark.parametrize("damage", [b"", b"MSA1", b"x" * 100])
def test_a_damaged_result_is_replaced(tmp_path: Path, damage: bytes) -> None:
    results = Results(tmp_path)
    results.path(KEY).parent.mkdir()
    results.path(KEY).write_bytes(damage)
    with pytest.raises(BrokenSeal):
        results.get(KEY, SECRET)
    results.put(KEY, seal(FILES, SECRET), SECRET)
    assert results.get(KEY, SECRET) == FILES
    results.path(KEY).write_bytes(damage)
    assert not results.holds(KEY, SECRET)
    assert not results.path(KEY).exists()


def test_what_is_not_sealed_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(BrokenSeal):
        Results(tmp_path).put(KEY, seal(FILES, b"another"), SECRET)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("key", ["", "ab", "../" * 20, "g" * 64])
def test_what_is_no_key(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        Results(tmp_path).get(key, SECRET)


def test_many_writers_leave_one_whole_result(tmp_path: Path) -> None:
    results = Results(tmp_path)
    sealed = [seal({"a": bytes([i]) * 5000}, SECRET) for i in range(8)]
    start = threading.Barrier(len(sealed))

    def write(data: bytes) -> None:
        start.wait()
        results.put(KEY, data, SECRET)

    threads = [threading.Thread(target=write, args=(data,)) for data in sealed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = results.get(KEY, SECRET)
    assert found in [unseal(data, SECRET) for data in sealed]
