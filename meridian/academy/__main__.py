"""``python -m meridian.academy`` is the command ``meridian``."""

from meridian.academy.cli import main

if __name__ == "__main__":
    main()
