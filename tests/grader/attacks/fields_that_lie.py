"""Say that one has other fields than one has."""


class Place(tuple):
    _fields = ("page", "slot", "page")

    page = slot = property(lambda _: 1 / 0)


def place(page, slot):
    return Place((page, slot))
