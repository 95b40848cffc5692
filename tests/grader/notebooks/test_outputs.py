"""nbval's comparison rules, case by case, and against nbval itself."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, ClassVar

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbval import plugin

from grader.notebooks.outputs import difference, directives


def stream(text: Any, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def result(**data: Any) -> dict[str, Any]:
    return {
        "output_type": "execute_result",
        "data": {name.replace("_", "/"): value for name, value in data.items()},
        "metadata": {},
        "execution_count": 1,
    }


@pytest.mark.parametrize(
    ("got", "want"),
    [
        ([], []),
        ([stream("a\nb\n")], [stream(["a\n", "b\n"])]),
        ([stream("a\n"), stream("b\n")], [stream("a\nb\n")]),
        ([stream("e", "stderr"), stream("o")], [stream("o"), stream("e", "stderr")]),
        ([stream("10%\r100%\n")], [stream("100%\n")]),
        ([stream("ab\b\bcd")], [stream("cd")]),
        ([{**result(text_plain="1"), "execution_count": 9}], [result(text_plain="1")]),
        ([result(text_plain="1", text_latex="x")], [result(text_plain="1", text_latex="y")]),
        (
            [result(**{"application/vnd.jupyter.widget-view+json": {"model_id": "a"}})],
            [result(**{"application/vnd.jupyter.widget-view+json": {"model_id": "b"}})],
        ),
    ],
)
def test_what_counts_as_equal(got: list[Any], want: list[Any]) -> None:
    assert difference(got, want) is None


@pytest.mark.parametrize(
    ("got", "want", "said"),
    [
        ([stream("a")], [stream("b")], "stdout is 'a'; expected 'b'"),
        ([], [stream("b")], "no stdout; expected 'b'"),
        ([stream("a")], [], "unexpected stdout: 'a'"),
        ([stream("a", "stderr")], [stream("a")], "unexpected stderr"),
        ([result(text_plain="1")], [result(text_plain="2")], "text/plain is '1'; expected '2'"),
        ([result(text_plain="1")] * 2, [result(text_plain="1")], "2 outputs of text/plain"),
        ([result(text_plain="1")], [result(text_html="1")], "no text/html"),
        (
            [result(text_plain="1"), result(text_plain="2")],
            [result(text_plain="2"), result(text_plain="1")],
            "text/plain is '1'",
        ),
        ([{"output_type": "error", "ename": "E", "evalue": "v"}], [], "unexpected ename"),
    ],
)
def test_what_counts_as_different(got: list[Any], want: list[Any], said: str) -> None:
    assert said in str(difference(got, want))


def test_long_values_are_cut() -> None:
    assert len(str(difference([stream("a" * 9_999)], [stream("b" * 9_999)]))) < 500


@pytest.mark.parametrize(
    ("source", "tags", "marks"),
    [
        ("# NBVAL_IGNORE_OUTPUT\nx", [], {"ignore"}),
        ("x = 1\n  # NBVAL_SKIP", [], {"skip"}),
        (["#NBVAL_RAISES_EXCEPTION\n", "1/0"], [], {"raises"}),
        ("x = 1  # NBVAL_SKIP", [], set()),
        (
            "'NBVAL_SKIP'",
            ["raises-exception", "nbval-ignore-output", "other"],
            {"raises", "ignore"},
        ),
        ("", [], set()),
    ],
)
def test_directives_of_the_author(source: Any, tags: list[str], marks: set[str]) -> None:
    assert directives({"source": source, "metadata": {"tags": tags}}) == marks


# No backspaces: nbval means to apply them, but its loop never runs; ours does.
texts = st.text("ab\n\r", max_size=6)
outputs = st.lists(
    st.builds(stream, texts, st.sampled_from(["stdout", "stderr"]))
    | st.builds(lambda text: result(text_plain=text), texts)
    | st.builds(lambda text: result(text_plain="p", text_html=text), texts),
    max_size=4,
)


@settings(deadline=None)
@given(outputs, outputs)
def test_nbval_agrees(got: list[dict[str, Any]], want: list[dict[str, Any]]) -> None:
    class Parent:
        skip_compare = (
            "metadata", "traceback", "text/latex", "prompt_number", "output_type", "name",
            "execution_count", "application/vnd.jupyter.widget-view+json",
        )  # fmt: skip
        sanitize_patterns: ClassVar[OrderedDict[str, str]] = OrderedDict()

    cell = plugin.IPyNbCell.__new__(plugin.IPyNbCell)
    cell._nodeid, cell.parent, cell.colors = "x", Parent(), plugin.nocolors
    cell.format_output_compare = lambda *_: None  # only how it is printed
    nodes = [[nbformat.from_dict(output) for output in side] for side in (got, want)]
    theirs = cell.compare_outputs(*(plugin.coalesce_streams(side) for side in nodes))
    assert (difference(got, want) is None) == theirs
