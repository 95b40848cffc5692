"""Write one file without end."""


def save(path, data):
    with open(path, "wb") as file:
        while True:
            file.write(bytes(2**20))
