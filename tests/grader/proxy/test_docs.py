"""The examples of docs/grader/suites.md, judged for real: what does not run is out of date."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import msgspec
import pytest

from grader.box import detect
from grader.job import JobSpec, run_one
from grader.limits import Limits
from meridian.academy.curriculum import Capstone, Criterion

PAGE = Path(__file__).parents[3] / "docs" / "grader" / "suites.md"
PACKAGE, *EXAMPLES = re.findall(r"(?s)```python\n(.*?)```", PAGE.read_text(encoding="utf-8"))
NAMES = [re.findall(r"(?m)^def (test_\w+)", example) for example in EXAMPLES]
CAPSTONE = Capstone(
    title="Station",
    package="station",
    allowed_imports=(*sorted(sys.stdlib_module_names), "numpy"),
    criteria=tuple(
        Criterion(id=str(n), title=name, points=1) for n, (name,) in enumerate(NAMES, 1)
    ),
)
LIMITS = Limits(question_s=20, start_s=60, network=True, memory_bytes=2 * 2**30)
KINDS = (
    *("Objects", "Exceptions", "Context managers", "Iterators", "Arrays"),
    *("Callbacks", "Async", "Servers", "Crashes"),
)


@pytest.mark.parametrize("box", ["auto", "none"])
def test_every_example_passes_when_judged(tmp_path: Path, box: str) -> None:
    if box == "auto" and detect().tier not in ("bwrap", "landlock"):
        pytest.skip(f"no box with a network here: {detect().reason}; {detect().fix}")
    package = tmp_path / "submission" / "station"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PACKAGE)
    suite = tmp_path / "suite" / "test_station.py"
    suite.parent.mkdir()
    parts = ["import pytest\n"]
    for n, example in enumerate(EXAMPLES, 1):
        parts.append(
            example.replace("def test_", f'@pytest.mark.criterion("{n}", points=1)\ndef test_')
        )
    suite.write_text("\n".join(parts))
    report = run_one(
        JobSpec(
            capstone="station/01",
            submission=package.parent,
            out=tmp_path / "out",
            definition=CAPSTONE,
            suite=suite,
            key=b"k" * 32,
            limits=LIMITS,
            box=box,
            trusted=box == "none",
        )
    )
    outcomes = {entry.title: (entry.outcome, entry.message) for entry in report.criteria}
    expected = {
        name: ("not_run" if box == "none" and "survive" in name else "passed") for (name,) in NAMES
    }
    assert {name: outcome for name, (outcome, _) in outcomes.items()} == expected, outcomes


def test_the_page_has_an_example_of_each_kind() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"\n**{kind}" in text
    assert len(EXAMPLES) == len(KINDS)
    for source in (PACKAGE, *EXAMPLES):
        ast.parse(source)


def test_the_page_names_what_there_is() -> None:
    """Every name in the table of `submission` exists, and nothing public is missing from it."""
    from grader.proxy.submission import Submission

    text = PAGE.read_text(encoding="utf-8")
    table = text.split("| On `submission` |")[1].split("\n\n")[0]
    first_column = " ".join(line.split("|")[1] for line in table.splitlines()[2:])
    told = set(re.findall(r"`(\w+)", first_column)) - {"name"}
    public = {name for name in dir(Submission) if not name.startswith("_")}
    assert told <= public
    assert public - told <= {"close", "loop"}


def test_the_pipes_page_names_the_limits_there_are() -> None:
    from grader.inside import protocol, values
    from grader.proxy import connection

    text = PAGE.with_name("pipe.md").read_text(encoding="utf-8")
    assert f"values in it ({protocol.MAX_ITEMS:,})" in text
    assert f"nesting ({values.MAX_DEPTH})" in text
    assert f"calls ({connection.MAX_CALLS:,})" in text
    assert f"questions inside calls ({connection.MAX_NESTED})" in text
    assert (
        f"bytes of an answer ({msgspec.structs.asdict(Limits())['reply_bytes'] >> 20} MiB)" in text
    )
