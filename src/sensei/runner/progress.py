"""How far a migration is: counted by the run, kept in the store, read by status."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from sensei.journal import migrations
from sensei.plan import model
from sensei.runner import desk as desks
from sensei.states import StepState, TableState
from sensei.transfer import tables as transfer

#: Seconds between two writes of the progress, and between two pictures of it: counting thousands of tables after each
#: of their steps would take longer than the steps.
EVERY = 1.0
SHOWN_EVERY = 0.2


class Report:
    """The progress of one run."""

    def __init__(self, desk: desks.Desk, loaded: desks.Loaded) -> None:
        self.desk, self.loaded = desk, loaded
        self.tables: dict[str, dict[str, Any]] = {
            t.id: {
                "name": t.id,
                "status": str(TableState.PENDING),
                "rows_copied": 0,
                "rows_total": t.rows,
                "chunks_done": 0,
                "chunks_total": 0,
                "rows_quarantined": 0,
            }
            for t in loaded.plan.tables
        }
        self.current = ""
        self.rate = 0.0
        self._kept = self._shown = 0.0
        self._turned_out: dict[str, int] = {}
        self._samples: list[tuple[float, int]] = []
        kept = desk.store.progress(loaded.id)
        for row in (kept or {}).get("tables", []):
            if row["name"] in self.tables:
                self.tables[row["name"]].update(row)

    @property
    def rows(self) -> int:
        """Rows that are in the target."""
        return sum(t["rows_copied"] for t in self.tables.values())

    @property
    def quarantined(self) -> int:
        """Rows in quarantine."""
        return sum(t["rows_quarantined"] for t in self.tables.values())

    def totals(self) -> dict[str, int]:
        """Return what the journal keeps of a run."""
        return {"rows": self.rows, "rows_quarantined": self.quarantined}

    def start(self, journaled: dict[str, migrations.StepRecord]) -> None:
        """Take over what an earlier run's journal says."""
        for step in self.loaded.plan.steps:
            record = journaled.get(step.id)
            if step.kind == "copy" and step.table and record and record.state is StepState.DONE:
                table = self.tables[step.table]
                table["chunks_done"] = table["chunks_total"] = record.facts["chunks"]
                table["rows_quarantined"] = record.facts["quarantined"]
                table["rows_copied"] = record.facts["rows"] - table["rows_quarantined"]
                table["status"] = str(TableState.COPIED)
        self.save(force=True)

    def taken_back(self, tables: Iterable[str]) -> None:
        """Note that nothing of these tables is in the target any more."""
        for name in tables:
            table = self.tables[name]
            table["status"] = str(TableState.ROLLED_BACK)
            table["rows_copied"] = table["rows_quarantined"] = table["chunks_done"] = table["chunks_total"] = 0
        self.save(force=True)

    def step(self, step: model.Step) -> None:
        """Note what is being done."""
        self.current = f"{step.kind.replace('_', ' ')}: {step.object}"
        if step.kind == "prove":
            for table in self.tables.values():
                table["status"] = str(TableState.DONE)
        self.save()

    def counted(self, rows: dict[str, int]) -> None:
        """Take the exact counts of the fingerprint."""
        for name, count in rows.items():
            self.tables[name]["rows_total"] = count

    def copying(self, tallies: dict[str, transfer.Tally]) -> None:
        """Take what the copy has counted."""
        self.current = "copy"
        for name, tally in tallies.items():
            table = self.tables[name]
            if tally.begun:
                table["status"] = str(TableState.COPIED if tally.complete else TableState.COPYING)
            table["rows_copied"] = tally.rows_read - tally.rows_quarantined
            table["rows_quarantined"] = tally.rows_quarantined
            table["chunks_done"], table["chunks_total"] = tally.chunks_done, tally.chunks_planned
        now = time.monotonic()
        self._samples = [(t, n) for t, n in self._samples if now - t < 15] + [(now, self.rows)]
        first = self._samples[0]
        self.rate = (self.rows - first[1]) / (now - first[0]) if now > first[0] else 0.0
        self.save()

    def told(self, table: str, rows: int, constraint: str) -> None:
        """Tell of rows that a constraint is turning out; they count once the ledger has them for good."""
        self.desk.screen.say(f"{table}: {rows} rows violate {constraint} and go to quarantine")

    def turned_out(self, table: str, rows: int) -> None:
        """Count the rows that constraints built after the load have turned out in all, as the ledger knows them."""
        more = rows - self._turned_out.get(table, 0)
        self._turned_out[table] = rows
        self.tables[table]["rows_quarantined"] += more
        self.tables[table]["rows_copied"] -= more

    def data(self) -> dict[str, Any]:
        """Return the progress as the store keeps it."""
        total = sum(t["rows_total"] for t in self.tables.values())
        done = self.rows + self.quarantined
        return {
            "percent": round(100.0 * done / total, 1) if total else 100.0,
            "rows_copied": self.rows,
            "rows_total": total,
            "tables": list(self.tables.values()),
            "rate": round(self.rate),
            "eta_seconds": round((total - done) / self.rate) if self.rate > 0 and total > done else 0,
            "current": self.current,
        }

    def save(self, force: bool = False) -> None:
        """Show the progress, and keep it, both from time to time."""
        now = time.monotonic()
        if not force and now - self._shown < SHOWN_EVERY:
            return
        data = self.data()
        self._shown = now
        self.desk.screen.progress(data)
        if force or now - self._kept >= EVERY:
            self._kept = now
            self.desk.store.save_progress(self.loaded.id, data)
