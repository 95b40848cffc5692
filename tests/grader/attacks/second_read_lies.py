"""Tell the truth when a field is first read, something else ever after."""


class Place:
    def __init__(self, page, slot):
        self._pages = [page, -1]
        self.slot = slot

    @property
    def page(self):
        return self._pages.pop(0)


def place(page, slot):
    return Place(page, slot)


def add(a, b):
    return Place(a + b, 0)
