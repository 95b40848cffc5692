"""Use up the names of the file system."""


def save(path, data):
    number = 0
    while True:
        number += 1
        open(f"file{number}", "wb").close()
