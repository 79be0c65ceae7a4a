"""Keeps the definitions of what stays behind beside the plan, for the work by hand."""

from __future__ import annotations

from pathlib import Path

from sensei.config import home
from sensei.plan import model


def path(migration: str) -> Path:
    """Return where a migration's file is, or would be."""
    return home.artifacts(migration) / "not-migrated.sql"


def write(migration: str, made: model.Plan) -> Path | None:
    """Write each definition below a comment with its name and the reason; None where nothing has one."""
    listed = [n for n in made.not_migrated if n.definition]
    if not listed:
        return None
    lines = [
        f"-- What {made.name} ({migration}) does not carry, in the words of the source ({made.source_engine}).",
        "-- This is no script: translate what you need, and run it on the target after the copy.",
    ]
    for one in listed:
        lines += ["", *(f"-- {part}" for part in f"{one.kind} {one.object}: {one.reason}".splitlines())]
        lines.append(one.definition.rstrip().removesuffix(";") + ";")
    kept = home.private_file(path(migration))
    kept.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return kept
