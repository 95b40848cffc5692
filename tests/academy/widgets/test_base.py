"""The static alternative: present in every bundle, inert, and refused where it is not a picture."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET

import anywidget
import ipywidgets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.academy import widgets
from meridian.academy.widgets import base

SVG = base.svg_document(10, 10, "<circle r='1'/>", title="One dot")


class Dot(base.StaticMixin, anywidget.AnyWidget):
    _esm = "export default { render() {} }"

    def static_html(self) -> str:
        return base.picture(SVG, "One dot")


def bundles() -> list[dict[str, object]]:
    box = base.PicturedBox([ipywidgets.IntSlider()], draw=lambda: SVG, alt="One dot")
    return [Dot()._repr_mimebundle_(), box._repr_mimebundle_()]


@pytest.mark.parametrize("bundle", bundles(), ids=["anywidget", "ipywidgets"])
def test_one_bundle_holds_the_view_the_picture_and_a_line_of_text(bundle: dict[str, str]) -> None:
    assert bundle[base.VIEW_MIME]["model_id"]
    assert 'alt="One dot"' in bundle[base.HTML_MIME]
    assert base.RUN_HINT in bundle[base.HTML_MIME]
    assert bundle["text/plain"]


def test_the_picture_survives_where_svg_scripts_and_styles_are_stripped() -> None:
    html = base.picture(SVG, 'a "quoted" <alt>')
    assert set(re.findall(r"<(\w+)", html)) == {"img"}
    data = re.search(r'base64,([^"]+)"', html)
    assert data is not None
    assert base64.b64decode(data[1]).decode() == SVG


def test_a_picture_must_be_a_whole_svg_document() -> None:
    with pytest.raises(ValueError, match="starts with <svg"):
        base.picture("<circle/>", "dot")


def test_a_widget_without_a_picture_says_which_method_is_missing() -> None:
    class Bare(base.StaticMixin, ipywidgets.VBox):
        pass

    with pytest.raises(NotImplementedError, match=r"Bare must implement static_html"):
        Bare()._repr_mimebundle_()


@given(st.text())
def test_escaped_text_is_inert_and_keeps_its_words(text: str) -> None:
    parsed = ET.fromstring(f'<a b="{base.escape(text)}">{base.escape(text)}</a>')
    shown = parsed.text or ""
    assert len(parsed) == 0
    assert all(letter in shown for letter in text if letter.isalnum())
    assert not re.search("[\x00-\x08\x1b\u202e]", shown)


def test_control_and_direction_marks_become_visible() -> None:
    assert base.escape("a\x1b[31mb\u202ec\nd") == "a\\x1b[31mb\\u202ec\nd"


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` by WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("name", ["INK", "MUTED", "ACCENT", "GOOD", "WARN", "BAD"])
@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_a_picture_can_be_read_on_a_white_and_on_a_black_page(name: str, page: str) -> None:
    fallback = re.search("#[0-9a-f]{6}", getattr(base, name))
    assert fallback is not None
    pale, dark = sorted((luminance(fallback[0]), luminance(page)), reverse=True)
    assert (pale + 0.05) / (dark + 0.05) > 3.5


def test_every_public_name_of_the_package_is_listed_once() -> None:
    assert sorted(widgets._HOMES) == widgets.__all__
    with pytest.raises(AttributeError, match="no_such"):
        widgets.no_such  # noqa: B018
