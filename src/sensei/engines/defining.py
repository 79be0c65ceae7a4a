"""The port through which an engine writes definitions, and what it says of those that do not fit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sensei import catalog
from sensei.catalog import types
from sensei.engines import base


@dataclass(frozen=True)
class Fitted:
    """What has to change in a table before an engine can make it."""

    #: Other types for some columns; their verdicts are about this change alone.
    types: Mapping[str, types.Mapped] = field(default_factory=dict)
    indexes: Mapping[str, catalog.Index] = field(default_factory=dict)  #: by name: the same over parts of values
    #: Foreign keys, by name, that can't be declared, and why.
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  #: what else the operator should know, in words
    hinders: str = ""  #: why the table can't be made at all, whatever is changed in it


@dataclass(frozen=True)
class Finish:
    """One object that is built after the load."""

    kind: str  #: "primary_key", "unique", "index", "foreign_key", "check"
    name: str
    statements: tuple[str, ...]
    columns: tuple[str, ...] = ()
    proof: str = ""  #: SQL that returns a row for each violation, before or after the build; empty: the build proves
    #: SQL condition over the table's alias `c`, true for each row that must go before this can be built; of rows
    #: that are duplicates of each other it spares one. Empty: rows can't violate this one by one.
    violators: str = ""
    removal: tuple[str, ...] = ()  #: statements that take it off again
    there: str = ""  #: SQL scalar, true where it is built; only for engines whose DDL commits by itself
    trusting: bool = False  #: the statements take the rows on trust: the proof is asked when they were run


class DDL(Protocol):
    """Writes definitions. Tables handed in are in the target's shape: native types, translated defaults."""

    def quote(self, name: str) -> str:
        """Quote one identifier; any text is safe afterwards. Raises BadInput for NUL or an empty name."""

    def qualified(self, name: catalog.TableName) -> str:
        """Quote a full table name."""

    def map_type(self, logical: types.LogicalType, source_engine: str, facts: base.ColumnFacts | None) -> types.Mapped:
        """Choose the native type for values of a logical type."""

    def fit(self, table: catalog.Table, parents: Mapping[base.TableName, catalog.Table]) -> Fitted:
        """Return what must be otherwise in a mapped table so that its keys, indexes and rows fit this engine.

        `table` is in the target's shape with its foreign keys; `parents` are the migrated tables that they point to,
        in the target's shape as well.
        """

    def translate_default(self, default: catalog.Default, logical: types.LogicalType) -> str | None:
        """Return the default's SQL in this engine for a portable default, or None where it can't be said."""

    def create(self, thing: catalog.Table | catalog.Sequence) -> list[str]:
        """Return the statements that create a table (for loading) or a sequence."""

    def create_schema(self, name: str) -> list[str]:
        """Return the statements that create a schema."""

    def finish(self, table: catalog.Table) -> list[Finish]:
        """Return what is built after the load, in order: keys, indexes; foreign keys come last, over all tables."""

    def prime(self, table: catalog.Table, sequences: Sequence[catalog.Sequence]) -> list[str]:
        """Return the statements that put identities and sequences where the source's stand, never behind the data."""

    def prime_alone(self, sequence: catalog.Sequence, drawing: Sequence[tuple[base.TableName, str]] = ()) -> list[str]:
        """Return the statements that put a sequence that belongs to no column where the source's stands.

        Not behind the values of the columns that draw from it, where the engine can say that in a statement.
        """
