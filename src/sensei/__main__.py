"""Runs the command line: python -m sensei."""

from sensei.cli import main

if __name__ == "__main__":
    main()
