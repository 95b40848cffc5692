"""What stands written in a drawing."""

from __future__ import annotations

import xml.etree.ElementTree as ET


def words(svg: str) -> list[str]:
    """Every line of text of an SVG document, in the order it is drawn."""
    return [node.text or "" for node in ET.fromstring(svg).iter() if node.tag.endswith("text")]
