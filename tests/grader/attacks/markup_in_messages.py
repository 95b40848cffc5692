"""Bring markup and terminal escapes into the feedback."""


def add(a, b):
    raise ValueError("<script>alert(1)</script>\x1b]0;title\x07\u202e")
