"""`python -m babycli`."""

from babycli.cli import run

if __name__ == "__main__":
    run()
