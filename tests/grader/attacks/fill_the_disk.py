"""Write file after file."""


def save(path, data):
    number = 0
    while True:
        number += 1
        with open(f"file{number}", "wb") as file:
            file.write(bytes(2**20))
