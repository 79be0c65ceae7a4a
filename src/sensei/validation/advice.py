"""The spec's decision tree: what to do about each cause, in its words, with the next command to type."""

from __future__ import annotations

import shlex

from sensei.validation import model

Cause = model.Cause

#: The branch of the tree: what kind of issue it is, and what follows from the cause.
TREE: dict[Cause, tuple[str, str]] = {
    Cause.TRANSFORMATION_BUG: ("Data accuracy issue", "Transformation bug → Fix and re-execute affected tables"),
    Cause.SOURCE_DATA_ISSUE: ("Data accuracy issue", "Source data issue → Clean source and retry"),
    Cause.SOURCE_MOVED_ON: ("Data accuracy issue", "The source moved on → Re-execute affected tables"),
    Cause.MISSING_OBJECT: ("Structural difference", "Not as planned → Put it back and revalidate"),
    Cause.MISSING_STORED_PROCEDURE: (
        "Behavioral divergence",
        "Missing stored procedure → Migrate procedure and revalidate",
    ),
    Cause.DIFFERENT_EXECUTION_PLAN: ("Behavioral divergence", "Different execution plan → Tune target indexes"),
    Cause.DIFFERENT_ANSWER: ("Behavioral divergence", "Different answer → Make the query portable and revalidate"),
    Cause.SLOWER: ("Performance issue", "Optimize and revalidate (don't rollback)"),
    Cause.UNKNOWN: ("Data accuracy issue", "Cause unknown → Look at the differences"),
}

_AGAIN = "sensei validations run {id}"
_TABLES = "sensei migrations rollback {id} --tables {tables} --keep-progress, then: sensei migrations resume {id}"
_COMMANDS: dict[Cause, str] = {
    Cause.TRANSFORMATION_BUG: _TABLES,
    Cause.SOURCE_DATA_ISSUE: _TABLES,
    Cause.SOURCE_MOVED_ON: _TABLES,
    Cause.UNKNOWN: "sensei validations divergence {id}",
}


def command(cause: Cause, migration: str, table: str | None) -> str:
    """Return the next command to type."""
    wanted = _COMMANDS.get(cause, _AGAIN)
    if table is None and wanted is _TABLES:
        wanted = "sensei validations divergence {id}"
    return wanted.format(id=migration, tables=_word(table or ""))


def action(cause: Cause, migration: str, table: str | None, *, by_row: bool = False) -> str:
    """Return what to do: the tree's words, and the command. `by_row`: single rows are known that can be repaired."""
    says = f"{TREE[cause][1]}: {command(cause, migration, table)}"
    if by_row and table is not None and cause in (Cause.TRANSFORMATION_BUG, Cause.SOURCE_MOVED_ON):
        says += f"; for a few rows: sensei validations repair {migration} --tables {_word(table)}"
    return says


def copy_again(migration: str, table: str) -> str:
    """Return the command by which a whole table is copied again."""
    return _TABLES.format(id=migration, tables=_word(table))


def _word(name: str) -> str:
    """Quote a table's name for a shell, where it needs that."""
    return shlex.quote(name)
