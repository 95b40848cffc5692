"""The author's proof that a capstone judges well, before any learner meets it.

The model answer passes with full points, every time and with any hidden input; the untouched
skeleton fails and says what to write; every listed mistake costs its criterion and no other; the
course's own system passes the same suite. Each of these is one `Order`, plain data that any
process can carry out, and gives one `Finding`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from grader.authoring.build import write_exercise
from grader.authoring.cutting import BuildError
from grader.authoring.mutants import MutantError, Proof, Variant, load_proof
from grader.authoring.parallel import each
from grader.box.reserve import RESERVE
from grader.job import JobSpec, run_one
from grader.report import CriterionReport, Mode, Report
from meridian.academy.curriculum import Capstone, lab_root, load
from meridian.academy.outcomes import shown_outcome

__all__ = ["Finding", "Order", "Proven", "carry_out", "orders", "prove"]

REPEATS, QUICK_REPEATS, RACE_REPEATS = 20, 2, 3
_KEY = b"proofs are signed for nobody".ljust(32, b"\0")

Kind = Literal["solution", "skeleton", "adapter", "mutant", "races", "coverage"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One job of a proof. `races` are judged one at a time, after everything else."""

    kind: Kind
    name: str
    capstone: str
    root: Path
    seed: str
    box: str
    mode: Mode = "check"
    races: bool = False
    variant: Variant | None = None
    adapter: str = ""
    constants: dict[str, int] = {}
    race_points: float | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one order showed; an empty `problem` is what the author wants to see.

    `told` is what a learner with this mistake would read; points are those of a mutant's criterion.
    """

    kind: Kind
    name: str
    problem: str = ""
    criterion: str = ""
    score: float = 0
    max_score: float = 0
    seed: str = ""
    told: str = ""
    duration_s: float = 0


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """The whole proof. `seed` repeats it: the same hidden inputs everywhere."""

    capstone: str
    box: str
    seed: str
    findings: list[Finding]

    @property
    def holds(self) -> bool:
        return bool(self.findings) and not any(finding.problem for finding in self.findings)


def prove(
    capstone: str,
    *,
    repeats: int | None = None,
    races: bool = False,
    quick: bool = False,
    only: str | None = None,
    box: str = "auto",
    workers: int = 1,
    seed: str | None = None,
    root: Path | None = None,
    on_finding: Callable[[int, int, Finding], None] | None = None,
) -> Proven:
    """Judge everything that the proof of `capstone` consists of.

    `quick` judges the model answer twice and mutants without a box and on smaller inputs: for a
    test suite. `only` judges the mutants whose name contains it, nothing else. Raises `UnknownKey`,
    `NotAvailable`, `BoxUnavailable`, `SuiteError`, `MutantError` for a list that is none,
    `ValueError` for an `only` that fits no mutant, or without a model answer.
    """
    root = lab_root() if root is None else root
    seed = secrets.token_hex(8) if seed is None else seed
    module = load(root).available(capstone)
    solution = root / module.solution
    if not any(solution.glob("*/__init__.py")):
        raise ValueError(
            f"{capstone} has no model answer: there is no package in {solution}. Write it there"
        )
    proof = load_proof(root / module.acceptance)
    count = repeats if repeats is not None else QUICK_REPEATS if quick else REPEATS
    if count < 1:
        raise ValueError(f"Expected at least 1 repeat, got {count}")
    todo = [
        msgspec.structs.replace(order, capstone=capstone, root=root)
        for order in orders(
            proof, seed, repeats=count, races=races, quick=quick, only=only, box=box
        )
    ]
    if not todo:
        raise ValueError(f"No mutant of {capstone} has {only!r} in its name")
    findings = [] if only else list(_uncovered(module.capstone, proof, module.acceptance))
    done = 0
    found: dict[int, Finding] = {}
    plain = [order for order in todo if not order.races]
    alone = [order for order in todo if order.races]
    for batch, width, offset in ((plain, workers, 0), (alone, 1, len(plain))):
        for i, finding in each(carry_out, batch, width):
            found[offset + i] = finding
            done += 1
            if on_finding is not None:
                on_finding(done, len(todo), finding)
    findings += [found[i] for i in sorted(found)]
    return Proven(capstone=capstone, box=box, seed=seed, findings=findings)


def orders(
    proof: Proof,
    seed: str,
    *,
    repeats: int,
    races: bool,
    quick: bool,
    only: str | None,
    box: str,
) -> Iterator[Order]:
    """Everything to judge, in the order of the table; every order has hidden inputs of its own."""
    constants = proof.quick if quick else {}
    loose = "none" if quick else box

    def order(kind: Kind, name: str, **more: object) -> Order:
        own = hashlib.sha256(f"{seed}\0{kind}\0{name}".encode()).hexdigest()[:32]
        facts = {"capstone": "", "root": Path(), "box": box, **more}
        return Order(kind=kind, name=name, seed=own, **facts)  # type: ignore[arg-type]

    if only is None:
        for i in range(1, repeats + 1):
            mode: Mode = "check" if i > 1 else "submit"
            yield order("solution", f"model answer {i} of {repeats}", mode=mode)
        yield order("skeleton", "untouched skeleton")
        if proof.adapter:
            yield order("adapter", "the course's own system", box="none", adapter=proof.adapter)
    for variant in proof.chosen(only):
        yield order("mutant", variant.name, variant=variant, box=loose, constants=constants)
    if not races and only is None:
        return
    shared = {"mode": "bench", "races": True, "constants": constants}
    for i in range(1, (1 if quick else RACE_REPEATS) + 1) if only is None else ():
        yield order("races", f"model answer {i}", race_points=proof.race_points, **shared)
    for variant in proof.races:
        if only is None or only in variant.name:
            yield order("mutant", variant.name, variant=variant, **{**shared, "box": loose})


def carry_out(order: Order) -> Finding:
    """Judge what `order` says. Raises what `run_one` raises: trouble of the grader, no finding."""
    capstone = load(order.root).capstone(order.capstone)
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="meridian-proof-") as work:
        try:
            folder = _submission(order, Path(work) / "submission")
            with _constants(order.constants), RESERVE.lent(racing=order.races) as pool:
                report = run_one(
                    JobSpec(
                        capstone=order.capstone,
                        submission=folder,
                        out=Path(work) / "out",
                        mode=order.mode,
                        races=order.races,
                        box=order.box,
                        pool=pool,
                        trusted=order.box == "none",
                        seed=order.seed,
                        key=_KEY,
                    )
                )
        except (MutantError, BuildError) as error:
            return Finding(kind=order.kind, name=order.name, problem=error.reason)
    missed = _missed(report, capstone)
    criterion = order.variant.criterion if order.variant else ""
    named = next((entry for entry in report.criteria if entry.id == criterion), None)
    return Finding(
        kind=order.kind,
        name=order.name,
        problem=_objection(order, report, missed, named),
        criterion=criterion,
        score=named.score if named else report.score,
        max_score=named.points if named else report.max_score,
        seed=order.seed,
        told="\n".join(_said(entry) for entry in ([named] if named else missed)),
        duration_s=round(time.monotonic() - start_s, 3),
    )


def _submission(order: Order, target: Path) -> Path:
    module = load(order.root).module(order.capstone)
    solution = order.root / module.solution
    if order.variant is not None:
        return order.variant.write(solution, target)
    if order.kind == "skeleton":
        write_exercise(order.root, module, target)
        return target
    if order.kind == "adapter":
        adapter = order.root / order.adapter
        if not adapter.is_dir():
            raise MutantError(order.name, f"there is no adapter {order.adapter}")
        return adapter
    return solution


def _missed(report: Report, capstone: Capstone) -> list[CriterionReport]:
    """Criteria that were judged and not passed, bonuses aside."""
    counted = {criterion.id for criterion in capstone.criteria}
    return [
        entry
        for entry in report.criteria
        if entry.id in counted and entry.outcome not in ("passed", "not_run")
    ]


def _objection(
    order: Order, report: Report, missed: list[CriterionReport], named: CriterionReport | None
) -> str:
    """What is not as it should be, or nothing."""
    if order.kind == "mutant":
        return _objection_to_mutant(order, missed, named)
    if order.kind == "skeleton":
        return _objection_to_skeleton(order, report, missed)
    least = report.max_score if order.race_points is None else order.race_points
    if order.kind == "races" and report.score >= least:
        return ""
    if missed:
        return f"criterion {', '.join(entry.id for entry in missed)} is not passed"
    full = report.max_score
    if order.mode == "submit" and not order.races:  # all else was judged: nothing is missed
        full -= sum(entry.points for entry in report.criteria if entry.outcome == "not_run")
    if report.score < full:
        return f"{report.score:g} of {full:g} points"
    if order.mode == "submit" and report.notebook.outcome not in ("passed", "not_run"):
        return f"the notebook: {report.notebook.outcome}"
    return ""


def _objection_to_mutant(
    order: Order, missed: list[CriterionReport], named: CriterionReport | None
) -> str:
    assert order.variant is not None
    wanted = order.variant.criterion
    if named is None:
        return f"the capstone has no criterion {wanted}"
    others = [entry.id for entry in missed if entry.id != wanted]
    if named.outcome in ("passed", "not_run"):
        went = f", but criterion {', '.join(others)} does not" if others else ""
        return f"criterion {wanted} passes all the same{went}"
    if others:
        return f"criterion {', '.join(others)} fails as well"
    return "" if named.message.strip() else f"criterion {wanted} fails and says nothing"


def _objection_to_skeleton(order: Order, report: Report, missed: list[CriterionReport]) -> str:
    passed = [entry.id for entry in report.criteria if entry.outcome == "passed"]
    if report.passed or passed:
        return f"criterion {', '.join(passed)} passes with nothing written"
    for entry in missed:
        directed = f"{order.capstone} #" in entry.message
        if shown_outcome(entry.outcome, entry.message) != "not_written" or not directed:
            return f"criterion {entry.id} does not say what to write"
    return "" if missed else "nothing was judged"


def _said(entry: CriterionReport) -> str:
    return "\n".join(part for part in (entry.message, entry.counterexample) if part)


def _uncovered(capstone: Capstone, proof: Proof, suite: Path) -> Iterator[Finding]:
    """A criterion that no listed mistake fails has not been seen to find anything."""
    covered = {variant.criterion for variant in (*proof.mutants, *proof.races)}
    where = suite.with_name(f"mutants_{suite.stem.removeprefix('test_')}.py")
    for criterion in capstone.criteria:
        if criterion.id not in covered:
            yield Finding(
                kind="coverage",
                name=f"criterion {criterion.id}",
                criterion=criterion.id,
                problem=f"no mutant fails it; list one in {where}",
            )


@contextlib.contextmanager
def _constants(values: dict[str, int]) -> Iterator[None]:
    """Constants of the suite for one job. Raises `MutantError` for one that does not exist."""
    before: list[tuple[object, str, object]] = []
    try:
        for name, value in values.items():
            module_name, _, constant = name.partition(":")
            module = importlib.import_module(module_name)
            if not hasattr(module, constant):
                raise MutantError(name, "the suite has no such constant")
            before.append((module, constant, getattr(module, constant)))
            setattr(module, constant, value)
        yield
    finally:
        for owner, constant, original in reversed(before):
            setattr(owner, constant, original)
