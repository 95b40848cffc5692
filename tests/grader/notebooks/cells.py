"""Cells and notebooks as tests write them, and what a report found."""

from __future__ import annotations

import json
from typing import Any

from grader.report import Report


def cell(name: str, source: str, *outputs: dict[str, Any], theirs: bool = False) -> dict[str, Any]:
    nbgrader = {"grade_id": name, "solution": True, "schema_version": 3}
    return {
        "id": name,
        "cell_type": "code",
        "source": source,
        "metadata": {"nbgrader": nbgrader} if theirs else {},
        "outputs": list(outputs),
        "execution_count": None,
    }


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def value(text: str) -> dict[str, Any]:
    return {
        "output_type": "execute_result",
        "data": {"text/plain": text},
        "metadata": {},
        "execution_count": 1,
    }


def notebook(*cells: dict[str, Any]) -> str:
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def found(report: Report) -> dict[str, str]:
    return {e.id: e.outcome for e in report.notebook.cells if e.id != "capstone.ipynb"}
