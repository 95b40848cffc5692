"""Never answer one question; the rest is honest."""


def add(a, b):
    while True:
        pass
