"""Answer a number of a hundred thousand digits, which takes long to print."""


def add(a, b):
    return 1 << 400_000
