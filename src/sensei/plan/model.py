"""A plan as data: tables, steps, risks, what is left out, and what it will cost."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import pydantic

from sensei import catalog
from sensei.catalog import sight, types
from sensei.engines import base, keeping, merging
from sensei.transfer import tables as transfer


@dataclass(frozen=True)
class ColumnPlan:
    """How one column is carried."""

    source: str
    target: str
    source_type: types.LogicalType
    source_native: str
    target_native: str
    there: types.Verdict
    back: types.Verdict
    reason: str
    guard: bool  #: the scan found values that do not conform


@dataclass(frozen=True)
class Append:
    """How rows are added to a table of the target's own."""

    key: tuple[str, ...]  #: the table's columns by which a row of both sides is the same row
    slot: int  #: which of the migration's places: one for each schema, so that no names collide there
    others: tuple[str, ...]  #: columns that only the target has, and that can be written
    checks: tuple[catalog.Check, ...] = ()  #: of the table, as far as carried columns decide them
    uniques: tuple[catalog.Index, ...] = ()  #: further unique keys, as far as carried columns decide them
    incoming: tuple[merging.Incoming, ...] = ()  #: foreign keys that point at the table
    counters: tuple[tuple[str, str], ...] = ()  #: columns that number themselves -> sequence


@dataclass(frozen=True)
class TablePlan:
    """How one table is carried."""

    source: catalog.Table
    target: catalog.Table
    columns: tuple[ColumnPlan, ...]  #: those that are copied; generated columns are computed by the target
    key: base.ChunkKey
    form: base.Form
    rows: int
    seen_as: sight.Sight | None = None  #: what stands in the source table's place; None: the table itself
    append: Append | None = None  #: `target` is the target's own table, and the rows are added to it
    #: Columns that both engines compute, each in its own words: they are compared, and not copied.
    computed: tuple[ColumnPlan, ...] = ()

    @property
    def id(self) -> str:
        """The table's name in ledger, journal and status: the source's."""
        return str(self.source.name)

    def job(self, guard_all: bool, attempt: int = 1, into: catalog.TableName | None = None) -> transfer.TableJob:
        """Return the copy of this table as work; `guard_all` where the source was written since it was scanned.

        `into` is where the rows go to (None: the target table).
        """
        primary = self.source.primary.columns if self.source.primary else ()
        position = {c.source: i for i, c in enumerate(self.columns)}
        return transfer.TableJob(
            table=self.id,
            source=self.source.name,
            read=tuple(base.ReadColumn(c.source, c.source_type, c.guard or guard_all) for c in self.columns),
            key=self.key,
            load=base.LoadSpec(into or self.target.name, tuple((c.target, c.source_type) for c in self.columns)),
            form=self.form,
            rows_estimate=self.rows,
            key_positions=tuple(position[c] for c in primary if c in position),
            attempt=attempt,
        )


@dataclass(frozen=True)
class Step:
    """One act that moves the migration on, with the way back in words; the acts themselves are in `steps`."""

    id: str
    kind: str
    object: str
    reversible: bool
    inverse: str
    table: str | None = None  #: id of the table that it belongs to
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Risk:
    """Something that the operator should know before data moves."""

    severity: str  #: info, low, medium, high, blocking
    table: str
    column: str | None
    reason: str
    there: types.Verdict | None = None
    back: types.Verdict | None = None


@dataclass(frozen=True)
class NotMigrated:
    """An object of the source that is left behind, and why."""

    kind: str
    object: str
    reason: str
    definition: str = ""


@dataclass(frozen=True)
class Estimate:
    """What the migration and its rollback will cost; seconds are a guess from rates, rows are counted."""

    rows: int
    bytes: int
    seconds: float
    rollback_seconds: float
    rollback_bytes: int  #: disk that evidence keeps after a rollback


@dataclass(frozen=True)
class ViewPlan:
    """A view of the source as it is made on the target."""

    origin: str  #: as the inventory of the source names it
    source: catalog.TableName
    target: catalog.TableName
    sql: str  #: its query in the target's dialect
    columns: tuple[str, ...]  #: names of its columns; empty: as the query gives them
    tables: tuple[str, ...]  #: ids of the migrated tables that it reads, itself or through other views
    views: tuple[str, ...] = ()  #: names on the target of the views that it reads


@dataclass(frozen=True)
class Coerced:
    """Values of a column that arrive as others, by a decision in the configuration."""

    table: str
    column: str
    decision: str  #: the option, or the expression
    values: int  #: how many are concerned
    rows: int  #: of so many that are taken
    says: str  #: what becomes of them


@dataclass(frozen=True)
class Plan:
    """Everything that start, resume and rollback need; a function of config and both catalogs."""

    name: str
    source_engine: str
    target_engine: str
    source_identity: str
    target_identity: str
    source_digest: str  #: of the definitions of the planned source tables
    tables: tuple[TablePlan, ...]
    sequences: tuple[catalog.Sequence, ...]  #: stand-alone and owned ones that are created by steps, target's names
    sequence_sources: dict[str, str]  #: target's name -> source's name
    steps: tuple[Step, ...]
    risks: tuple[Risk, ...]
    not_migrated: tuple[NotMigrated, ...]
    estimate: Estimate
    schemas: tuple[str, ...]  #: source schemas that were looked at
    target_schemas: tuple[str, ...]
    source_marker: str = ""  #: the moment at which the source was scanned
    target_was_empty: bool = False
    token: str = ""  #: binds the target's ledger to this state store
    held: tuple[keeping.Held, ...] = ()  #: the target's own tables and sequences that make way, and come back
    hanging: tuple[keeping.Hanging, ...] = ()  #: what hangs on them from outside
    #: Sequences of the source that no step creates -> what numbers their column on the target.
    numbering: dict[str, str] = field(default_factory=dict)
    views: tuple[ViewPlan, ...] = ()
    coerced: tuple[Coerced, ...] = ()

    def view(self, name: str) -> ViewPlan:
        """Return the view of that name on the target, `schema.name`; raises KeyError."""
        return self._views[name]

    @functools.cached_property
    def _views(self) -> dict[str, ViewPlan]:
        return {str(v.target): v for v in self.views}

    def table(self, table_id: str) -> TablePlan:
        """Return the table of that id; raises KeyError."""
        return self._tables[table_id]

    def sequence(self, name: str) -> catalog.Sequence:
        """Return the sequence of that name on the target, `schema.name`; raises KeyError."""
        return self._sequences[name]

    def sequence_of(self, origin: str) -> catalog.TableName | None:
        """Return the name on the target of a source's sequence, or None where no step creates it."""
        return self._sequence_names.get(origin)

    def held_as(self, kind: str, name: catalog.TableName) -> list[keeping.Held]:
        """Return the target's own objects of a kind that make way and bear this name but for its case."""
        return self._held.get((kind, str(name).casefold()), [])

    # Looked up for each of thousands of steps.
    @functools.cached_property
    def _held(self) -> dict[tuple[str, str], list[keeping.Held]]:
        found: dict[tuple[str, str], list[keeping.Held]] = {}
        for held in self.held:
            found.setdefault((held.kind, str(held.name).casefold()), []).append(held)
        return found

    @property
    def sights(self) -> dict[catalog.TableName, sight.Sight]:
        """Return how tables of the source are read, of those that are not read as they are."""
        return {t.source.name: t.seen_as for t in self.tables if t.seen_as is not None}

    @functools.cached_property
    def added_to(self) -> frozenset[catalog.TableName]:
        """The target's own tables that rows are added to."""
        return frozenset(t.target.name for t in self.tables if t.append is not None)

    @functools.cached_property
    def _tables(self) -> dict[str, TablePlan]:
        return {t.id: t for t in self.tables}

    @functools.cached_property
    def _sequences(self) -> dict[str, catalog.Sequence]:
        return {str(s.name): s for s in self.sequences}

    @functools.cached_property
    def _sequence_names(self) -> dict[str, catalog.TableName]:
        return {origin: self._sequences[name].name for name, origin in self.sequence_sources.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON-able data."""
        data: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """Read what to_json wrote."""
        return _ADAPTER.validate_python(data)


_ADAPTER = pydantic.TypeAdapter(Plan)
