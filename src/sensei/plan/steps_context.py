"""What steps act on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sensei import catalog
from sensei.config import migration as configuration
from sensei.engines import base, ledger
from sensei.plan import model, numbering
from sensei.work import sides

Facts = dict[str, Any]


@dataclass
class Context:
    """What steps act on: the plan, both ends, and the runner's epoch."""

    migration: str
    plan: model.Plan
    config: configuration.MigrationConfig
    epoch: int
    source: sides.Side
    target: sides.Side
    source_session: base.Session
    target_session: base.Session
    book: ledger.Ledger
    #: Told of rows that a constraint turns out after the load: table, rows, constraint.
    turned_out: Callable[[str, int, str], None] = lambda table, rows, reason: None
    say: Callable[[str], None] = lambda text: None  #: tells the operator
    _positions: dict[str, catalog.Sequence] | None = field(default=None, repr=False)
    _owned: dict[catalog.TableName, list[tuple[str, catalog.Sequence]]] = field(default_factory=dict, repr=False)

    def positions(self) -> dict[str, catalog.Sequence]:
        """Return the source's sequences as they stand now, by name; read once."""
        if self._positions is None:
            with sides.told("source", self.source.name):
                found = self.source.engine.introspect.catalog(self.source_session, self.plan.schemas)
            self._positions = {str(s.name): s for s in found.sequences}
            users = numbering.drawn(found)
            for sequence in found.sequences:
                drawing = users[str(sequence.name)]
                # Where sequences are carried as such, one that nobody owns has a step of its own.
                alone = len(drawing) == 1 and self.source.engine.name != self.target.engine.name
                if sequence.owner is not None or alone:
                    table, column = sequence.owner or drawing[0]
                    self._owned.setdefault(table, []).append((column, sequence))
        return self._positions

    def positions_of(self, table: catalog.TableName) -> list[tuple[str, catalog.Sequence]]:
        """Return (column, sequence) for each column of a source table that alone draws from a sequence."""
        self.positions()
        return self._owned.get(table, [])
