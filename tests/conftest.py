"""What every test can use: each concern is a plugin of its own."""

from __future__ import annotations

import os

import hypothesis
import pytest

# Where it is set, each of the thousands of commands would compile some two hundred modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

pytest_plugins = ["fix_postgres", "fix_mysql", "fix_ends", "fix_sensei", "fix_datasets", "fix_crashes"]

# Time limits per example would fail on a busy machine; a failure must be repeatable from its printed blob.
hypothesis.settings.register_profile("default", deadline=None, print_blob=True, max_examples=50)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=False, print_blob=True)
hypothesis.settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have to tell: with several processes only this one speaks."""
    for report in terminalreporter.stats.get("passed", []):
        for name, text in report.user_properties:
            if name == "told":
                terminalreporter.write_line(text)
