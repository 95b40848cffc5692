"""Raise SystemExit from a call, which ends a test run that catches only Exception."""


def add(a, b):
    raise SystemExit(0)
