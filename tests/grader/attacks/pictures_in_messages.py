"""Bring SVG, MathML, entities, CSS and an end of the page into the feedback."""


def add(a, b):
    raise ValueError(
        "</pre></article></body></html><svg onload=alert(1)><math><style>*{display:none}</style>"
        "<img src=x onerror=alert(1)>&lt;script&gt;{{7*7}}<!--<iframe src=javascript:alert(1)>"
    )
