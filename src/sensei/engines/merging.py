"""The port for adding rows to the target's own tables, so that they can be taken out again and nothing else moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sensei import catalog
from sensei.engines import base, defining

#: What an addition has beside the table itself, each in a place of the migration under the table's own name: the rows
#: on their way in, the rows of the target's own that they overwrite, and the keys of those that are new.
STAGE, KEPT, ADDED = "stage", "kept", "added"
PLACES = (STAGE, KEPT, ADDED)


@dataclass(frozen=True)
class Incoming:
    """A foreign key that points at rows of the table."""

    words: str
    name: str
    table: catalog.TableName
    columns: tuple[str, ...]
    references: tuple[str, ...]


@dataclass(frozen=True)
class Addable:
    """What a look at one of the target's own tables gave."""

    hinders: tuple[str, ...] = ()  #: why rows can't be added so that they can be taken out again, in words
    silent: tuple[str, ...] = ()  #: triggers that will not fire for the rows
    incoming: tuple[Incoming, ...] = ()


@dataclass(frozen=True)
class Addition:
    """One table to add to, in the target's names."""

    table: catalog.TableName
    stage: catalog.TableName
    kept: catalog.TableName
    added: catalog.TableName
    key: tuple[str, ...]  #: by which a row of both sides is the same row
    columns: tuple[str, ...]  #: that come from the source, the key included
    others: tuple[str, ...]  #: that only the target has, and that can be written
    incoming: tuple[Incoming, ...] = ()
    #: Columns that number themselves -> sequence, where the engine has such.
    counters: tuple[tuple[str, str], ...] = ()
    #: Every table that the migration brings rows into: on the way back theirs go in turn.
    planned: frozenset[catalog.TableName] = frozenset()

    @property
    def pointers(self) -> tuple[str, ...]:
        """Columns of foreign keys by which the table points at itself."""
        found = dict.fromkeys(c for i in self.incoming if i.table == self.table for c in i.columns)
        return tuple(c for c in found if c in self.whole and c not in self.key)

    @property
    def whole(self) -> tuple[str, ...]:
        """Every column that can be written."""
        return (*self.columns, *self.others)


class Merge(Protocol):
    """Moves staged rows into a table and out of it again.

    Life: look (planning); positions before anything is moved; begin, overwrite, insert, advance, end in one
    transaction. Triggers of the table do not fire, and foreign keys of other tables do not act. Back: undo.
    """

    def look(self, session: base.Session, tables: Sequence[catalog.TableName]) -> Mapping[catalog.TableName, Addable]:
        """Return what there is to know of these tables; writes nothing."""

    def begin(self, session: base.Session, addition: Addition) -> Any:
        """Keep other writers and the table's triggers out for this transaction; returns what `end` needs."""

    def end(self, session: base.Session, addition: Addition, begun: Any) -> None:
        """Let the table's triggers in again."""

    def conflict(self, addition: Addition, index: catalog.Index) -> str:
        """Return a condition over the stage's alias `c`: a row that stays has the same values of a unique index."""

    def overwrite(self, addition: Addition) -> list[str]:
        """Return the statements that give the kept rows the stage's values, in place, but for `pointers`."""

    def insert(self, addition: Addition) -> list[str]:
        """Return the statements that insert the staged rows whose keys are in `added`, and then set the pointers."""

    def positions(self, session: base.Session, addition: Addition) -> dict[str, Any]:
        """Return where the table's counters stand, as JSON-able data."""

    def advance(self, session: base.Session, addition: Addition) -> None:
        """Put the table's counters past its rows."""

    def undo(self, migration: str, step: str, addition: Addition, evidence: str) -> list[base.Guarded]:
        """Return the statements that take the rows out again.

        What is in the table under the added and the kept keys is copied to the evidence place first. Added rows go,
        kept ones get their old values, counters go back to the facts' "restore" where they stand at its "after".
        Stops where rows of others point at added ones.
        """


def match(ddl: defining.DDL, a: str, b: str, key: Sequence[str]) -> str:
    """Write the condition that two aliases are rows of one key."""
    return " AND ".join(f"{a}.{ddl.quote(k)} = {b}.{ddl.quote(k)}" for k in key)


def listed(ddl: defining.DDL, columns: Sequence[str], alias: str = "") -> str:
    """Write a list of columns."""
    return ", ".join((f"{alias}." if alias else "") + ddl.quote(c) for c in columns)


def keep(ddl: defining.DDL, addition: Addition) -> str:
    """Write the statement that copies the rows to be overwritten."""
    q = ddl.qualified
    return (
        f"INSERT INTO {q(addition.kept)} ({listed(ddl, addition.whole)}) SELECT {listed(ddl, addition.whole, 't')}"
        f" FROM {q(addition.table)} t WHERE EXISTS (SELECT 1 FROM {q(addition.stage)} s"
        f" WHERE {match(ddl, 's', 't', addition.key)})"
    )


def note(ddl: defining.DDL, addition: Addition) -> str:
    """Write the statement that notes the keys of rows that are new; after `keep`."""
    q = ddl.qualified
    return (
        f"INSERT INTO {q(addition.added)} ({listed(ddl, addition.key)}) SELECT {listed(ddl, addition.key, 's')}"
        f" FROM {q(addition.stage)} s WHERE NOT EXISTS (SELECT 1 FROM {q(addition.kept)} k"
        f" WHERE {match(ddl, 'k', 's', addition.key)})"
    )


def taken(ddl: defining.DDL, addition: Addition, index: catalog.Index, same: str) -> str:
    """Write `Merge.conflict`; `same` compares two values, so that NULLs count or do not.

    What a row has under the index is computed on both sides by the index's own words, which name columns without a
    table: on the table's side they stand in a query of their own, where nothing else can be meant.
    """
    elements = []
    for column in index.columns:
        words = ddl.quote(column.name) if column.name is not None else f"({column.expression})"
        elements.append(words + (f" COLLATE {column.collation}" if column.collation else ""))
    keys = ", ".join(f"{ddl.quote(k)} AS sensei_k{n}" for n, k in enumerate(addition.key))
    values = ", ".join(f"{e} AS sensei_v{n}" for n, e in enumerate(elements))
    where = f" WHERE {index.where}" if index.where else ""
    mine = " AND ".join(f"t.sensei_v{n} {same} {e}" for n, e in enumerate(elements))
    staged = " AND ".join(f"s.{ddl.quote(k)} = t.sensei_k{n}" for n, k in enumerate(addition.key))
    condition = (
        f"EXISTS (SELECT 1 FROM (SELECT {keys}, {values} FROM {ddl.qualified(addition.table)}{where}) t WHERE {mine}"
        f" AND NOT EXISTS (SELECT 1 FROM {ddl.qualified(addition.stage)} s WHERE {staged}))"
    )
    return f"({index.where}) AND {condition}" if index.where else condition
