"""Raise an exception whose fields contain themselves, the exception and its traceback."""


def add(a, b):
    loop = {}
    loop["loop"] = [loop]
    error = ValueError("loop")
    error.loop = loop
    error.own = error
    error.__cause__ = error.__context__ = error
    error.add_note("note")
    raise error
