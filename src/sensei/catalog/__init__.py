"""What a database looks like, as frozen data that no engine has to explain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sensei.catalog import types


@dataclass(frozen=True, order=True)
class TableName:
    """A table's full name; ``schema`` is empty where the engine has none (SQLite)."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True)
class Default:
    """A column's default: a portable meaning where there is one, and the engine's own text.

    ``kind`` is one of ``literal`` (``value`` is its canonical text), ``null``, ``current_timestamp``,
    ``current_date``, ``current_time`` (of these, ``value`` is "utc" where they are UTC whatever the session's zone),
    ``random_uuid``, ``nextval`` (``value`` is the sequence's ``schema.name``) or ``other`` (known only as ``sql``).
    """

    kind: str
    sql: str
    value: str | None = None


@dataclass(frozen=True)
class Column:
    """One column in its position."""

    name: str
    type: types.LogicalType
    native: str  #: the declared type as the engine prints it
    nullable: bool = True
    default: Default | None = None
    identity: str | None = None  #: "always", "by default", "autoincrement" (SQLite) or None
    generated: str | None = None  #: generation expression in the engine's dialect; never copied, always computed
    collation: str | None = None  #: only where it differs from the database's default (MySQL: always)
    comment: str | None = None
    virtual: bool = False  #: a generated column that is computed when it is read, not stored
    extra: str = ""  #: further clauses in the engine's own words, such as ``ON UPDATE current_timestamp()``


@dataclass(frozen=True)
class Key:
    """A primary key or a unique constraint."""

    name: str
    columns: tuple[str, ...]
    deferrable: bool = False
    deferred: bool = False
    nulls_distinct: bool = True
    definition: str = ""  #: the engine's own text, where it prints one


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key; actions are SQL words such as ``CASCADE`` or ``NO ACTION``."""

    name: str
    columns: tuple[str, ...]
    table: TableName  #: the referenced table
    references: tuple[str, ...]  #: referenced columns; never empty, the parent's key is filled in
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    match: str = "SIMPLE"
    deferrable: bool = False
    deferred: bool = False
    validated: bool = True
    definition: str = ""


@dataclass(frozen=True)
class Check:
    """A check constraint; ``sql`` is the bare expression in the engine's dialect."""

    name: str
    sql: str
    validated: bool = True


@dataclass(frozen=True)
class IndexColumn:
    """One element of an index: a column or an expression."""

    name: str | None
    expression: str | None = None
    descending: bool = False
    nulls_first: bool | None = None  #: None is the engine's default
    collation: str | None = None
    opclass: str | None = None
    prefix: int | None = None  #: only so many characters (of bytes: bytes) of the value are in the index


@dataclass(frozen=True)
class Index:
    """A secondary index (those behind keys are not listed)."""

    name: str
    columns: tuple[IndexColumn, ...]
    unique: bool = False
    where: str | None = None
    method: str = "btree"
    include: tuple[str, ...] = ()
    nulls_distinct: bool = True
    valid: bool = True
    definition: str = ""  #: the engine's own CREATE INDEX text


@dataclass(frozen=True)
class Sequence:
    """A sequence and where it stands."""

    name: TableName
    start: int = 1
    increment: int = 1
    minimum: int = 1
    maximum: int = 2**63 - 1
    cycle: bool = False
    cache: int = 1
    last_value: int | None = None  #: None: never used
    data_type: str = "bigint"
    owner: tuple[TableName, str] | None = None  #: the serial or identity column that owns it


@dataclass(frozen=True)
class Table:
    """A table with everything that hangs on it and that Sensei can carry."""

    name: TableName
    columns: tuple[Column, ...]
    primary: Key | None = None
    uniques: tuple[Key, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    indexes: tuple[Index, ...] = ()
    comment: str | None = None
    kind: str = "table"  #: "table", "partitioned", "virtual", "foreign"
    definition: str = ""  #: the engine's own CREATE TABLE text, where it keeps one (SQLite); MySQL: table options
    rowid: str | None = None  #: SQLite: an unshadowed name for the rowid; None for WITHOUT ROWID and other engines
    identity: str = ""  #: oid, or hash of the stored SQL: tells whether a table of this name is the same table
    rows_estimate: int = 0
    bytes_estimate: int = 0

    def column(self, name: str) -> Column:
        """Return the column of that name; raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@dataclass(frozen=True)
class Other:
    """An object that is inventoried but not carried over: view, trigger, routine, type, extension, policy…"""

    kind: str  #: "view", "materialized view", "trigger", "function", "procedure", "aggregate", "type", "domain", …
    name: str  #: as an operator would write it
    definition: str = ""
    table: TableName | None = None


@dataclass(frozen=True)
class Catalog:
    """Everything found in the schemas asked for."""

    engine: str
    version: str
    schemas: tuple[str, ...]
    tables: tuple[Table, ...]
    sequences: tuple[Sequence, ...] = ()
    others: tuple[Other, ...] = ()
    extras: dict[str, str] = field(default_factory=dict)  #: settings worth a fingerprint: encoding, collation…
    #: Functions, types, operators and collations, `schema.name`, that an expression may name beside the system's;
    #: None where the engine has no such thing.
    names: frozenset[str] | None = None
    #: The schema that one sole source schema goes to where nobody says which; "" where it keeps its own name.
    home: str = ""
    case_sensitive: bool | None = None  #: how this very server compares names of tables; None: as its engine does

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables)

    def table(self, name: TableName) -> Table | None:
        """Return the table of that name, or None."""
        return next((t for t in self.tables if t.name == name), None)

    def only(self, names: Iterable[TableName]) -> Catalog:
        """Return this catalog with just the tables named."""
        keep = set(names)
        return Catalog(
            self.engine,
            self.version,
            self.schemas,
            tuple(t for t in self.tables if t.name in keep),
            self.sequences,
            self.others,
            self.extras,
            self.names,
            self.home,
            self.case_sensitive,
        )
