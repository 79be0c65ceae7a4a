"""The command line: parse, open, call one function of the conductor, print one result."""

from __future__ import annotations

import sys

from sensei.cli import app


def main() -> None:
    """Run the command line and exit with the contract's code."""
    sys.exit(app.run(sys.argv[1:]))
