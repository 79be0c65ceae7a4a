"""What the ledger keeps of rows that could not be carried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sensei.engines import base, ledger_attempts


@dataclass(frozen=True)
class Rejected:
    """One row in quarantine."""

    table: str
    chunk: int
    position: int
    key: str
    column: str
    reason: str
    row: str


class Quarantine(ledger_attempts.Attempts):
    """The part of a migration's ledger that holds rejected rows."""

    def quarantine(self, session: base.Session, attempt: int, rejected: Sequence[Rejected]) -> None:
        """Write rows that can't be carried, in the transaction that leaves them out."""
        for r in rejected:
            session.run(
                f"INSERT INTO {self.name('quarantine')} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    self.migration, r.table, attempt, r.chunk, r.position,
                    r.key, r.column, r.reason, r.row, ledger_attempts.now(),
                ],
            )  # fmt: skip

    def quarantined(self, session: base.Session, limit: int | None = None) -> list[Rejected]:
        """Return the rows in quarantine; those of attempts that were taken back only stay in the ledger."""
        at = self.attempts(session)
        found = session.rows(
            "SELECT table_name, attempt, chunk, position, row_key, column_name, reason, row_value"
            f" FROM {self.name('quarantine')} WHERE migration = ? ORDER BY table_name, chunk, position"
            # Without a table taken back, the limit is the server's to keep.
            + (f" LIMIT {int(limit)}" if limit is not None and not at else ""),
            [self.migration],
        )
        return [
            Rejected(str(t), int(c), int(p), str(k), str(col), str(why), str(row))
            for t, a, c, p, k, col, why, row in found
            if int(a) == at.get(str(t), 1)
        ][:limit]

    def quarantine_count(self, session: base.Session, table: str, chunk: int) -> int:
        """Count the rows of one chunk of a table in quarantine."""
        found = session.rows(
            f"SELECT count(*) FROM {self.name('quarantine')}"
            " WHERE migration = ? AND table_name = ? AND attempt = ? AND chunk = ?",
            [self.migration, table, self.attempts(session).get(table, 1), chunk],
        )
        return int(found[0][0])

    def quarantine_counts(self, session: base.Session, chunk: int) -> dict[str, int]:
        """Count the rows in quarantine by table, of one chunk number."""
        at = self.attempts(session)
        return {
            str(table): int(n)
            for table, attempt, n in session.rows(
                f"SELECT table_name, attempt, count(*) FROM {self.name('quarantine')} WHERE migration = ? AND chunk = ?"
                " GROUP BY table_name, attempt",
                [self.migration, chunk],
            )
            if int(attempt) == at.get(str(table), 1)
        }
