"""Whatever text a submission brings, the page shows it as text and nothing more."""

from __future__ import annotations

import ast
import html
import html.parser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.feedback import visible

NASTY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("<>&\"'`\x1b\x9b\x9d\x90\x07\x08\r\0\x7f\u202e\u2066\u2028\ufeff\ud800"),
    )
)


class Reader(html.parser.HTMLParser):
    """What a browser would find in a piece of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, _: str) -> None:
        self.tags.append("!")


@given(NASTY)
def test_any_text_stays_text(text: str) -> None:
    shown = visible(text)
    assert all(c.isprintable() or c == "\n" for c in shown)
    shown.encode()
    reader = Reader()
    reader.feed(f'<p title="{shown}">{shown}</p>')
    reader.close()
    assert reader.tags == ["p"]
    assert reader.text == html.unescape(shown)
    if text.isprintable():
        assert html.unescape(shown) == text


@pytest.mark.parametrize(
    "path",
    sorted((Path(__file__).parent / "attacks").glob("*_in_messages.py")),
    ids=lambda path: str(path.stem),
)
def test_texts_of_the_corpus_stay_text(path: Path) -> None:
    found = [
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert found
    for text in found:
        reader = Reader()
        reader.feed(visible(text))
        reader.close()
        assert reader.tags == []
