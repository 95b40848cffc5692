"""Every trick anyone thought of: each must end in the verdict the code deserves, and in time.

A file in `attacks/` is the ``__init__.py`` of a toy submission; ``attacks/rows.toml`` says what it
deserves. Mostly an attack is honest but for one function, so a row also says that one bad answer
does not spoil, or pay for, the others. Afterwards nothing of the job is left on the machine.
"""

from __future__ import annotations

import contextlib
import html.parser
import os
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.limits import MIB

ATTACKS = Path(__file__).parent / "attacks"
SLOWEST_S = 15
BOX_BYTES = 320 * MIB  # more than an honest worker, less than many processes together
# Only these are found out by the clock.
ENDLESS = {
    "endless_import",
    "endless_loop",
    "allocate_and_swallow",
    "close_the_pipes",
    "stop_yourself",
    "swallow_signals",
    "drip_the_answer",
}
_ALLOWED_TAGS = frozenset(
    {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "strong", "article"}
    | {"header", "span", "pre", "table", "tr", "th", "td", "figure", "figcaption", "img", "br"}
    | {"footer", "details", "summary", "ul", "li", "section", "main", "code", "thead", "tbody"}
    | {"a", "h3", "caption", "dl", "dt", "dd"}
)


class Here(msgspec.Struct, forbid_unknown_fields=True):
    """How one tier differs, and why."""

    why: str
    outcomes: str = ""
    words: str = ""


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """What an attack deserves."""

    family: str
    outcomes: str
    words: str = ""
    hole: str = ""
    bwrap: Here | None = None
    landlock: Here | None = None

    def on(self, tier: str) -> tuple[str, str]:
        here = getattr(self, tier) or Here("")
        return here.outcomes or self.outcomes, here.words or self.words


_TABLE = tomllib.loads((ATTACKS / "rows.toml").read_text())
_TABLE.pop("racing")  # see test_attacks_racing.py
ROWS = msgspec.convert(_TABLE, dict[str, Row])


def test_every_attack_has_a_row() -> None:
    assert {path.stem for path in ATTACKS.glob("*.py")} == set(ROWS)
    assert len(ROWS) >= 80


@pytest.fixture
def machine() -> Iterator[None]:
    """Afterwards, no process of a box and nothing in the kernel is left, however well hidden."""
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    yield
    deadline = time.monotonic() + 10
    while (left := strays(began)) and time.monotonic() < deadline:
        time.sleep(0.05)  # another test's, which ends with that test
    assert left == []
    assert leftovers() == []


@pytest.mark.parametrize("name", sorted(ROWS))
def test_attack(
    toy: Any, machine: None, walls: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes, words = ROWS[name].on(walls)
    # What does not stop is found sooner.
    monkeypatch.setattr("grader.proxy.proxy._MAX_ITEMS", 20_000)
    source = "from .honest import *\n" + (ATTACKS / f"{name}.py").read_text()
    question_s = 0.8 if name in ENDLESS else toy.limits.question_s
    limits = msgspec.structs.replace(toy.limits, question_s=question_s, box_memory_bytes=BOX_BYTES)
    report = toy.judge(source, mode="check", limits=limits, box=walls)
    messages = "\n".join(entry.message for entry in report.criteria)
    got = list(toy.outcomes(report).values())
    deserved = [choice.split("/") for choice in outcomes.split()]
    right = all(map(list.__contains__, deserved, got)) and words in messages
    if ROWS[name].hole and not right:
        pytest.xfail(ROWS[name].hole)
    assert right, f"{got}\n{messages}"
    assert report.box == walls
    assert report.duration_s < SLOWEST_S
    assert report.verify(toy.key)
    look_at_the_page((toy.out / "feedback.html").read_text())


def look_at_the_page(page: str) -> None:
    """Our own tags and attributes only, and no character that a terminal or a reader obeys."""
    assert all(c.isprintable() or c == "\n" for c in page)
    tags: list[tuple[str, dict[str, str | None]]] = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attributes)))

    Reader().feed(page)
    assert {tag for tag, _ in tags} <= _ALLOWED_TAGS
    for _, attributes in tags:
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("src") or "data:").startswith("data:")
        assert not (attributes.get("href") or "#").startswith("javascript")


def strays(began: float) -> list[str]:
    """Processes that began since then, look boxed, and belong to no judge by their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            status = dict(
                line.split(":", 1) for line in (entry / "status").read_text().splitlines()
            )
            facts = (entry / "stat").read_text().rpartition(")")[2].split()
            since = int(facts[19]) / os.sysconf("SC_CLK_TCK")
            uid = int(status["Uid"].split()[0])
            ours = uid == os.geteuid() if os.geteuid() else uid >= 61_184
            if facts[0] == "Z" or status["NoNewPrivs"].strip() != "1" or since < began - 0.1:
                continue
            if not ours or os.readlink(entry / "exe") != os.path.realpath(sys.executable):
                continue
            if b"MERIDIAN_BOX=" not in (entry / "environ").read_bytes():
                found.append(f"{entry.name} {status['Name'].strip()}")
    return found


def leftovers() -> list[str]:
    """What `leave_it_in_the_kernel` and `remember_an_earlier_worker` may have left."""
    found = []
    for kind in ("shm", "sem", "msg"):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]
            found += [kind for line in lines if int(line.split()[0]) == 0x4D455249]
    for folder in ("/dev/shm", "/dev/mqueue", "/tmp", "/var/tmp", "/run", "/run/lock", "/"):
        found += [str(path) for path in Path(folder).glob("*meridian-attack*")]
    with contextlib.suppress(OSError):
        keys = Path("/proc/keys").read_text().splitlines()
        found += [line for line in keys if "meridian-attack" in line]
    return found
