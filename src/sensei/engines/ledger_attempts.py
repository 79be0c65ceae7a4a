"""What the ledger knows of tables that were taken back while others stayed: each has had several attempts."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any

from sensei.engines import base

#: Begins the step that tells which tables were taken back together: TAKEN_BACK and 1, 2, 3…
TAKEN_BACK = "taken_back:"
#: Names in one statement of a list that may be thousands long.
_BATCH = 500


def now() -> str:
    """Return the time that is noted beside what the ledger holds, in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat()


class Attempts:
    """The part of a migration's ledger that tells attempts apart."""

    def __init__(self, engine: base.Engine, migration: str) -> None:
        self.engine = engine
        self.migration = migration
        self._attempts: dict[str, int] | None = None

    def name(self, table: str) -> str:
        """Return the quoted, qualified name of a ledger table."""
        return self.engine.ledger_prefix + table

    def taken_back(self, session: base.Session) -> dict[int, dict[str, Any]]:
        """Return what each rollback of some tables wrote, by its number: 1, 2, 3…"""
        return numbered(self, session, TAKEN_BACK)

    def attempts(self, session: base.Session) -> dict[str, int]:
        """Return the attempt that each table is at which was taken back; every other is at its first."""
        if self._attempts is None:
            found: dict[str, int] = {}
            for facts in self.taken_back(session).values():
                for table in facts["tables"]:
                    found[table] = found.get(table, 1) + 1
            self._attempts = found
        return self._attempts

    def take_back(self, session: base.Session, steps: Sequence[str]) -> None:
        """Write that what these steps made is gone, in the transaction in which it goes.

        The caller records the step TAKEN_BACK with its number and `tables`: their next chunks are of another attempt.
        Chunks and quarantine of the old one stay.
        """
        for at in range(0, len(steps), _BATCH):
            some = steps[at : at + _BATCH]
            listed = ", ".join("?" * len(some))
            where = f"WHERE migration = ? AND step IN ({listed})"
            session.run(f"UPDATE {self.name('steps')} SET state = 'undone' {where}", [self.migration, *some])
            session.run(f"DELETE FROM {self.name('objects')} {where} AND kind <> 'statistics'", [self.migration, *some])
        self._attempts = None

    def undone_facts(self, session: base.Session, step: str) -> dict[str, Any] | None:
        """Return the facts of a step that took effect and has to be taken again, or None."""
        found = session.rows(
            f"SELECT state, facts FROM {self.name('steps')} WHERE migration = ? AND step = ?", [self.migration, step]
        )
        facts = {str(state): dict(json.loads(text)) for state, text in found}
        # One that is begun again took the place of what was noted before, and keeps it.
        earlier: dict[str, Any] | None = facts.get("undone") or facts.get("begun", {}).get("earlier")
        return earlier


def numbered(book: Attempts, session: base.Session, begins: str) -> dict[int, dict[str, Any]]:
    """Return the facts of the steps whose id is this beginning and a number, by their numbers."""
    return {
        int(str(step).removeprefix(begins)): dict(json.loads(facts))
        for step, facts in session.rows(
            f"SELECT step, facts FROM {book.name('steps')} WHERE migration = ? AND state = 'done'"
            f" AND substr(step, 1, {len(begins)}) = ?",
            [book.migration, begins],
        )
    }
