"""Takes some tables back in front of an operator: what has to come along is shown and asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sensei.cli import output, words
from sensei.runner import back, partial
from sensei.runner import desk as desks


def consent(more: Mapping[str, str]) -> bool:
    """Show which tables have to come along and why, and ask."""
    output.say("these depend on it and have to come along:")
    for table, why in more.items():
        output.say(f"  {table}: {why}")
    return output.confirm("Take them back, too?")


def tables(
    here: desks.Desk, migration: str, request: partial.Request, *, check: bool, check_source: bool
) -> back.Report:
    """Roll back, and say how it went."""
    return partial.tables(here, migration, request, consent, check=check, check_source=check_source)


def dry_run(here: desks.Desk, migration: str, request: partial.Request) -> tuple[dict[str, Any], list[str]]:
    """Return the document and the lines of what would be done."""
    more, due = partial.dry_run(here, migration, request)
    lines = [f"would take along: {table}, as {why}" for table, why in more.items()]
    lines += [f"would do: {d}" for d in due] or ["nothing is left to take back"]
    document = {
        "id": migration,
        "dry_run": True,
        "along": [{"table": table, "reason": why} for table, why in more.items()],
        "statements": due,
    }
    return document, lines


def report_text(migration: str, report: back.Report) -> list[str]:
    """Show what is taken back now, and how to go on."""
    lines = [f"{migration} is {report.status}; rolled back: {', '.join(report.tables or ()) or 'no table'}"]
    lines += words.verification_text(migration, report)
    return [
        *lines,
        f"next: sensei migrations resume {migration}, which takes them up again; with --config FILE their part of the"
        " configuration may be another",
    ]
