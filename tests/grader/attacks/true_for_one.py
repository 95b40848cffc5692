"""Return True where 1 is due: equal, but of another type."""


class Counter:
    def __init__(self, start=0):
        self.value = start

    def add(self, amount):
        if amount < 0:
            raise ValueError
        self.value += amount
        return float(self.value)

    def up_to(self, end):
        return range(self.value, end)
