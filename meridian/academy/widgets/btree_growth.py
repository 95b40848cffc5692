"""A B+ tree to grow and to shrink: insert and delete ids, watch nodes split and merge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets

from meridian.academy.widgets.base import BAD, escape
from meridian.academy.widgets.btree_runs import CAP, MAX_EDITS, Moment, run_edits
from meridian.academy.widgets.btree_svg import CHANGED, NEW, paint_tree
from meridian.academy.widgets.page_picture import PagePicture
from meridian.academy.widgets.playground import choice, slider
from meridian.academy.widgets.stepper import Stepper

__all__ = ["EDITS", "BTreeGrowth", "paint_moment"]

EDITS: Mapping[str, str] = {  # each has its point with 4 keys per node
    "the first splits": "10 20 30 40 50 25 35 60 70",
    "ascending ids": "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
    "the last insert splits three nodes": " ".join(str(n) for n in range(1, 38)),
    "deletes: borrow, merge, a level less": "10 20 30 40 50 60 70 80 90 -10 -20 -30 -40 -50 -60",
    "a separator outlives its key": "10 20 30 40 50 -30 25 -25",
}


def paint_moment(moment: Moment, *, title: str = "", cap: int = CAP) -> str:
    """The tree at `moment` as an SVG document: what was read, or what was written."""
    marks = dict.fromkeys(moment.new, NEW) | dict.fromkeys(moment.changed, CHANGED)
    lit = set()
    if moment.edit is not None and not moment.edit.delete and moment.done:
        key = moment.edit.key
        lit = {(leaf.page_id, key) for leaf in moment.tree.leaves if key in leaf.keys}
    lit |= {(page, moment.tree.nodes[page].keys[i]) for page, i in moment.promoted}
    ups = moment.promoted if moment.edit is not None and not moment.edit.delete else ()
    return paint_tree(
        moment.tree,
        title=title,
        marks=marks,
        way=moment.way,
        caps=(cap, cap),
        lit=lit,
        promoted=ups,
    )


class BTreeGrowth(Stepper):
    """Step a real `BPlusTree` of 4 keys per node through inserts and deletes.

    Two steps for each: the way to the leaf, then what became of the pages. Ids are typed (``17``
    inserts, ``-17`` deletes) or chosen with the slider and its buttons. `rebalance` says when
    nodes merge, `append_split` whether ascending ids fill their leaves.
    """

    def __init__(
        self,
        edits: str = EDITS["the first splits"],
        *,
        rebalance: str = "lazy",
        append_split: bool = False,
        step: int | None = None,
        examples: Mapping[str, str] = EDITS,
    ) -> None:
        self.edits = ipywidgets.Text(
            edits,
            description="ids",
            continuous_update=False,
            layout=ipywidgets.Layout(width="52rem"),
        )
        self.example = choice("or", {"choose an example": "", **examples}, "", width="24rem")
        names = {"lazy: when a node is empty": "lazy", "eager: below half full": "eager"}
        self.rebalance = choice("merge", names, rebalance, width="20rem")
        self.append_split = ipywidgets.Checkbox(
            append_split,
            description="append split",
            indent=False,
            layout=ipywidgets.Layout(width="9rem"),
        )
        self.key = slider("id", 45, 0, 300, 1, width="24rem")
        self._insert, self._delete = (
            ipywidgets.Button(description=words, layout=ipywidgets.Layout(width="6rem"))
            for words in ("Insert", "Delete")
        )
        self._problem = ""
        super().__init__(
            [self.edits],
            [self.example, self.rebalance, self.append_split],
            [self.key, self._insert, self._delete],
            what="step",
            jumps={"End": lambda: 10**9},
        )
        self.moments = self._run()
        last = len(self.moments) - 1
        self._load(last, last if step is None else step)
        self.example.observe(self._on_example, "value")
        for control in (self.edits, self.rebalance, self.append_split):
            control.observe(self._on_change, "value")
        self._insert.on_click(lambda _: self._add(""))
        self._delete.on_click(lambda _: self._add("-"))

    @property
    def moment(self) -> Moment:
        """The tree at the chosen step."""
        number: int = self.step.value
        return self.moments[number]

    @property
    def said(self) -> str:
        return f"{self._when()}. {self.moment.said}"

    def svg(self) -> str:
        return paint_moment(self.moment, title=self._when())

    def picture(self) -> PagePicture:
        """The tree as it is now, as a picture that stays as it is."""
        return PagePicture(self.svg(), self.said)

    def _when(self) -> str:
        moment = self.moment
        if moment.edit is None:
            return "Before the first insert"
        number, of = (self.step.value + 1) // 2, (len(self.moments) - 1) // 2
        return f"{number} of {of}, {'done' if moment.done else 'on the way'}: {moment.edit}"

    def _above(self) -> str:
        if self._problem:
            return f'<b style="color:{BAD}">✘ {escape(self._problem)}</b>'
        return escape(self.moment.said)

    def _run(self) -> list[Moment]:
        return run_edits(
            self.edits.value,
            rebalance=self.rebalance.value,
            append_split=self.append_split.value,
        )

    def _add(self, sign: str) -> None:
        if len(self.edits.value.replace(",", " ").split()) >= MAX_EDITS:
            self._problem = f"{MAX_EDITS} inserts and deletes are as many as fit: take some out"
            self._redraw()
            return
        self.edits.value = f"{self.edits.value} {sign}{self.key.value}".strip()
        self.go(len(self.moments) - 1)

    def _on_example(self, change: Any) -> None:
        if change.new:
            self.edits.value = change.new
            self.go(0)

    def _on_change(self, _: object) -> None:
        if self.example.value != self.edits.value:
            self.example.value = ""  # so that the same example can be chosen again
        try:
            moments = self._run()
        except ValueError as error:  # what was typed; the picture keeps the last good edits
            self._problem = str(error)
            self._redraw()
            return
        self._problem = ""
        self._swap(moments)

    def _swap(self, moments: list[Moment]) -> None:
        """Take over another run; the slider must never point behind it."""
        if len(moments) < len(self.moments):
            self._load(len(moments) - 1)
        self.moments = moments
        self._load(len(moments) - 1)
