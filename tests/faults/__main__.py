"""``python -m tests.faults``: break the whole road in every way we know, and show what came of it."""

from tests.faults.run import app

if __name__ == "__main__":
    app()
