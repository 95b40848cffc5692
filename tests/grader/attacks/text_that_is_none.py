"""Raise with text that no encoding accepts, so that writing the report fails."""


def add(a, b):
    raise type("Trouble\ud800", (ValueError,), {})("\ud800\udfff\x00")
