"""Raise a group of groups, deeper than a recursion may go."""


def add(a, b):
    group = ValueError("inner")
    for _ in range(5_000):
        group = ExceptionGroup("outer", [group])
    raise group
