"""Save a file of a terabyte that takes no room."""


def save(path, data):
    with open(path, "wb") as file:
        file.truncate(2**40)
