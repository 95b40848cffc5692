"""The model of the page format, against published values and by hand, and no check is vacuous."""

from __future__ import annotations

import importlib
import random
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.acceptance.database.mutants_storage import MUTANTS
from grader.authoring.mutants import Change, Variant
from meridian.testing import storage as model

SOLUTION = Path(__file__).parents[2] / "solutions/database/01-storage"


# -- format --------------------------------------------------------------------------------------


def test_the_published_vector() -> None:
    page = model.encode_page(7)
    assert page[:13].hex() == "4f4f5231070000000100000010"
    assert model.page_crc(page) == 0xA006F748
    assert model.decode_page(page) == (b"OOR1", 7, 1, 0, 4096, 0xA006F748, [], [])


@given(st.binary(min_size=17, max_size=600))
def test_page_crc_is_zlibs_over_all_but_the_checksum(page: bytes) -> None:
    assert model.page_crc(page) == zlib.crc32(page[17:], zlib.crc32(page[:13]))
    other = page[:13] + b"\xaa\xbb\xcc\xdd" + page[17:]
    assert model.page_crc(other) == model.page_crc(page)


def test_slots_are_decoded() -> None:
    body = bytearray(512 - 17)
    # slot 0: bytes 500..512; slot 1: deleted; slot 2: an overflow stub of 4 bytes at 496
    body[:12] = bytes.fromhex("f4010c00 ffff0000 f0010480")
    body[496 - 17 :] = b"stub" + b"hello, orbit"
    page = model.encode_page(3, bytes(body), record_count=3, free_space_offset=496, page_size=512)
    found = model.decode_page(page)
    assert found.slots == [(500, 12), (0xFFFF, 0), (496, 0x8004)]
    assert found.records == [b"hello, orbit", None, b"stub"]


@pytest.mark.parametrize("page", [b"", bytes(16), model.encode_page(1, b"\xf0\x0f\xff\x00",
                                                                    record_count=1)])  # fmt: skip
def test_what_is_no_page_is_refused(page: bytes) -> None:
    with pytest.raises(ValueError, match=r"Expected a page|Slot 0 spans"):
        model.decode_page(page)
    with pytest.raises(ValueError, match="at most 4079"):
        model.encode_page(1, bytes(4080))


def test_the_file_header() -> None:
    fields = (1).to_bytes(2, "little") + b"".join(
        n.to_bytes(4, "little") for n in (4096, 9, 5, 2, 1)
    )
    page = model.encode_page(0, fields + (7).to_bytes(8, "little"), page_type=0)
    assert model.decode_file_header(page) == (1, 4096, 9, 5, 2, 1, (7,) + (0,) * 15)


# -- slotted page --------------------------------------------------------------------------------


def test_capacity_facts() -> None:
    for size, count in ((82, 47), (140, 28), (4075, 1), (4076, 0)):
        page = model.SlottedPageModel()
        while page.insert(bytes(size)) is not None:
            pass
        assert page.live_count == count


def test_space_by_hand() -> None:
    page = model.SlottedPageModel(512)
    assert (page.free_contiguous, page.free_total) == (495, 495)
    assert [page.insert(bytes(100)) for _ in range(4)] == [0, 1, 2, 3]
    assert page.delete(1)
    assert not page.delete(1)
    assert (page.free_contiguous, page.free_total) == (79, 179)
    assert page.insert(bytes(80)) is None
    assert page.compact() == 100
    assert page.compact() == 0
    assert page.insert(bytes(179)) == 1
    assert (page.free_contiguous, page.free_total) == (0, 0)
    assert page.insert(b"", reuse_slots=False) is None
    assert page.update(0, bytes(90))
    assert page.update(2, bytes(110))
    assert page.get(2) == bytes(110)
    assert not page.update(2, bytes(121))
    assert page.free_total == 0


# -- policies ------------------------------------------------------------------------------------


def play(policy: str, frames: int, trace: str) -> str:
    """Victims of a trace of one-letter pages: "." for a hit, "-" for a free frame."""
    pool = model.PolicyModel(policy, frames)
    shown = []
    for page in trace:
        hit, victim, _ = pool.access(ord(page))
        shown.append("." if hit else "-" if victim is None else chr(victim))
    return "".join(shown)


@pytest.mark.parametrize(
    ("policy", "frames", "trace", "victims"),
    [
        # Belady's reference string, the textbook's LRU on 3 frames: 10 faults, on 4: 8.
        ("lru", 3, "123412512345", "---1234..512"),
        ("lru", 4, "123412512345", "----..3..451"),
        # Second chance: 4 clears all three bits and takes 1; 1 takes 2, 2 takes 3.
        ("clock", 3, "1234125", "---1234"),
        # The hit on 2 saves it: the hand clears its bit and takes 3.
        ("clock", 3, "1231421", "---.1.3"),
        # Four frames: A1in's target is 1, so a run of new pages leaves in order.
        ("2q", 4, "12345", "----1"),
        # 1 left A1in and comes back while remembered: it joins Am and a scan passes it by.
        ("2q", 4, "1234516789a1", "----1234567."),
    ],
)
def test_policies_by_hand(policy: str, frames: int, trace: str, victims: str) -> None:
    assert play(policy, frames, trace) == victims


@given(
    st.sampled_from(["lru", "clock", "2q"]),
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=80),
)
def test_policy_invariants(policy: str, frames: int, steps: list[tuple[int, bool, bool]]) -> None:
    pool = model.PolicyModel(policy, frames)
    resident: set[int] = set()
    pinned: set[int] = set()
    for page, pin, scan in steps:
        if pinned >= resident and len(resident) == frames and page not in resident:
            with pytest.raises(model.NoVictim):
                pool.access(page, pinned, scan=scan)
            pinned.clear()
            continue
        hit, victim, frame = pool.access(page, pinned, scan=scan)
        assert hit == (page in resident)
        assert (victim is not None) == (not hit and len(resident) == frames)
        assert victim not in pinned
        resident.discard(victim if victim is not None else -1)
        resident.add(page)
        assert pool.pages[frame] == page
        assert {p for p in pool.pages if p is not None} == resident
        (pinned.add if pin else pinned.discard)(page)


def test_lru_is_the_stack_algorithm() -> None:
    """More frames never miss more, and a pool holds what a smaller one holds."""
    rng = random.Random(5)
    trace = [rng.randrange(12) for _ in range(600)]
    pools = [model.PolicyModel("lru", frames) for frames in range(1, 12)]
    for page in trace:
        for pool in pools:
            pool.access(page)
        for small, large in pairwise(pools):
            assert {*small.pages} - {None} <= {*large.pages}


def test_scan_resistance_of_the_three() -> None:
    rates = {}
    for policy in ("lru", "clock", "2q"):
        rng, pool, hits = random.Random(1), model.PolicyModel(policy, 64), 0
        for i in range(12_000):
            hits += pool.access(rng.randrange(50)).hit and i >= 2000
            if i % 2:
                pool.access(1000 + i)
        rates[policy] = round(hits / 10_000, 2)
    assert rates["lru"] == pytest.approx(0.69, abs=0.02)
    assert rates["clock"] == pytest.approx(0.65, abs=0.02)
    assert rates["2q"] == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("policy", "stays"), [("lru", [1, 3]), ("clock", [1, 3])])
def test_a_scanned_page_goes_first(policy: str, stays: list[int]) -> None:
    pool = model.PolicyModel(policy, 2)
    pool.access(1)
    pool.access(2, scan=True)
    pool.access(3)
    assert pool.pages == stays


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match="mru"):
        model.PolicyModel("mru", 3)
    with pytest.raises(ValueError, match="at least 1"):
        model.PolicyModel("lru", 0)


# -- the checks find what is wrong ---------------------------------------------------------------

CHECKS: dict[str, Callable[[Any, Path], None]] = {
    "header": lambda api, _: model.check_page_header(api),
    "slotted": lambda api, _: model.check_slotted_page(api),
    "file": model.check_page_file,
    "pool": model.check_buffer_pool,
    "manager": model.check_page_manager,
}
FOUND_BY = {
    "lost_free_list": {"file"},
    "padded_tail": {"file"},
    "negative_page_ids": {"file"},
    "body_only_checksum": {"header", "file", "pool"},
    "misdirected_accepted": {"header", "file"},
    "pin_leak": {"pool"},
    "unsealed_dirty_page": {"pool", "manager"},
    "evicts_pinned": {"pool"},
    "lru_is_fifo": {"pool"},
    "clock_hand_stays": {"pool"},
    "half_loaded_frame": {"pool"},
    "slot_ids_move": {"slotted", "manager"},
    "aba": {"manager"},
    "last_tombstone_first": {"slotted"},
    "off_by_one_capacity": {"slotted", "manager"},
    "exact_fit_refused": {"slotted"},
    "refusal_scribbles": {"slotted"},
    "reuse_costs_a_slot": {"slotted"},
}
MORE = (
    Variant("unsorted_verify", "", (Change("page.py", "if stored != computed:", "if 0:"),)),
    Variant("no_lock", "", (Change("page_file.py", "fcntl.LOCK_EX", "fcntl.LOCK_SH"),)),
    Variant(
        "views_outlive_pins",
        "",
        (Change("buffer_pool.py", "            view.release()\n", "            del view\n"),),
    ),
    Variant(
        "counts_tombstones",
        "",
        (Change("page.py", "return len(self._live())", "return self.slot_count"),),
    ),
)
FOUND_BY |= {
    "unsorted_verify": {"header", "pool"},
    "no_lock": {"file"},
    "views_outlive_pins": {"pool"},
    "counts_tombstones": {"slotted", "manager"},
}


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[[Variant], ModuleType]]:
    """Imports a variant of the model answer under a name of its own."""
    names: list[str] = []

    def loaded(variant: Variant) -> ModuleType:
        folder = tmp_path / variant.name
        if variant.changes:
            variant.write(SOLUTION, folder)
        else:
            shutil.copytree(SOLUTION / "tle_page_manager", folder / "tle_page_manager")
        name = f"variant_{variant.name}"
        (folder / "tle_page_manager").rename(folder / name)
        sys.path.insert(0, str(folder))
        names.append(name)
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(folder))

    yield loaded
    for module in [m for m in sys.modules if m.split(".")[0] in names]:
        del sys.modules[module]


def failing(api: ModuleType, folder: Path) -> set[str]:
    """The names of the checks that do not pass, for whatever reason."""
    found = set()
    for name, check in CHECKS.items():
        place = folder / name
        place.mkdir()
        try:
            check(api, place)
        except Exception:
            found.add(name)
    return found


@pytest.mark.parametrize(
    "variant", [v for v in (*MUTANTS, *MORE) if v.name in FOUND_BY], ids=lambda v: v.name
)
def test_checks_find(
    variant: Variant, load: Callable[[Variant], ModuleType], tmp_path: Path
) -> None:
    assert failing(load(variant), tmp_path) == FOUND_BY[variant.name]


def test_checks_pass_the_model_answer(
    load: Callable[[Variant], ModuleType], tmp_path: Path
) -> None:
    assert failing(load(Variant("unchanged", "", ())), tmp_path) == set()
