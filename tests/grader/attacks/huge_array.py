"""Ask for an array of petabytes."""


def add(a, b):
    return bytearray(2**50)
