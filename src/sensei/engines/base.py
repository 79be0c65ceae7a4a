"""The ports that every engine fills: session, introspect, ddl, undo, rows; and what an engine can do."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from sensei import catalog
from sensei.catalog import sight, types

if TYPE_CHECKING:  # it is written in the words of this module
    from sensei.engines import asking, comparing, defining, hazards, keeping, merging, weighing

Row = tuple[Any, ...]
#: What a rollback script adds to a migration's epoch: more than there ever are runners.
SCRIPT_EPOCH = 1000
#: Under a name of its own: in `Introspect`, `catalog` is a method.
TableName = catalog.TableName
Catalog = catalog.Catalog
#: A position in a chunk key: one scalar per key column. JSON-able but for bytes, see `key_text`.
KeyValue = tuple[int | float | str | bytes, ...]


class Purpose(StrEnum):
    """What a session is for: a source session is read only, by the server's own enforcement."""

    SOURCE = "source"
    TARGET = "target"


class Form(StrEnum):
    """The shape in which rows travel."""

    TEXT = "text"  #: canonical row text: COPY's text form, bytes, any block boundaries
    BINARY = "binary"  #: PostgreSQL's binary COPY, between two PostgreSQL servers
    VALUES = "values"  #: lists of native tuples, between two SQLite files
    NATIVE = "native"  #: rows as canonical text, each field as two servers of one engine understand it (MySQL)


Block = bytes | list[Row]


@dataclass(frozen=True)
class ChunkKey:
    """What a table is cut along."""

    #: "columns": a primary or unique not-null key; "rowid": SQLite's rowid; "ctid": PostgreSQL's physical
    #: block ranges, for tables without a key; "whole": the table is one chunk.
    kind: str
    columns: tuple[str, ...] = ()
    natives: tuple[str, ...] = ()  #: declared types of the columns, for casts of boundaries


@dataclass(frozen=True)
class ReadColumn:
    """One column to read: its name, what its values mean, and whether misfits must be made loud."""

    name: str
    type: types.LogicalType
    #: True where a scan found, or could not exclude, values that do not conform to the type. They are then
    #: rendered so that no target takes them for something else, and the row is rejected and quarantined.
    guard: bool = False


@dataclass(frozen=True)
class ReadSpec:
    """One chunk to read: rows with lower < key <= upper, in key order (a bound of None is open)."""

    table: catalog.TableName
    columns: tuple[ReadColumn, ...]
    key: ChunkKey
    lower: KeyValue | None = None
    upper: KeyValue | None = None


@dataclass(frozen=True)
class LoadSpec:
    """Where rows go: the target table and, in the order of the read columns, name and type of each."""

    table: catalog.TableName
    columns: tuple[tuple[str, types.LogicalType], ...]


@dataclass(frozen=True)
class ColumnFacts:
    """What a scan found in one column (engines without enforced types only)."""

    rows: int
    nulls: int
    misfits: int  #: values that do not conform to the logical type
    sample: str = ""  #: one misfit, as an operator would write it, with its key
    max_length: int | None = None  #: characters of the longest text
    highest: int | None = None  #: no integer in the column is larger, and none that its numbering gave
    classes: Mapping[str, int] | None = None  #: SQLite storage class -> count
    days: int = 0  #: values of a moment that name a day alone


@dataclass(frozen=True)
class Recount:
    """A table looked at again: its rows now, and whether it may have been written since a mark."""

    rows: int
    suspect: bool


@dataclass(frozen=True)
class Guarded:
    """One statement of an undo with the condition under which it applies; run or printed from one source."""

    when: str  #: SQL scalar, true where the statement is still to be done
    run: str  #: the statement, or statements that belong together
    says: str  #: the same in an operator's words
    #: True: where the condition holds the undo can't go on, and `says` is why; nothing is run then. It holds, or not,
    #: also before anything of the undo was run.
    stops: bool = False
    #: True: it changes nothing, and fails where the undo can't go on; as `stops`, where one expression can't tell.
    looks: bool = False


@dataclass(frozen=True)
class Missing:
    """A privilege that the account lacks and the statement that grants it."""

    what: str
    grant: str


@dataclass(frozen=True)
class Capabilities:
    """Questions that the rest of the house asks instead of an engine's name."""

    transactional_ddl: bool  #: DDL rolls back
    keys_after_load: bool  #: primary, unique and foreign keys can be added to a loaded table
    single_writer: bool  #: one writing transaction at a time in a whole database
    has_schemas: bool
    enforced_types: bool  #: a column holds only values of its type (SQLite: no)
    reads: tuple[Form, ...]  #: forms that a source can give, cheapest first
    loads: tuple[Form, ...]  #: forms that a target can take, cheapest first
    max_identifier_bytes: int | None
    case_sensitive_names: bool
    max_identifier_characters: int | None = None
    index_names_per_table: bool = False  #: two tables of a schema may have indexes of one name
    foreign_key_names_per_table: bool = True  #: False: they count over all schemas that a migration writes to
    counts_up: bool = False  #: a column that numbers itself only counts up, in steps that are not its own, to the end
    one_identity: bool = False  #: a table numbers one column at most, and no check may name it
    set_default: bool = True  #: foreign keys may set a default
    deferrable: bool = True  #: foreign keys may be checked at the end of a transaction
    partial_indexes: bool = True  #: an index may be over the rows alone of which a condition is true
    free_computed: bool = True  #: computed columns may be NOT NULL, and name columns that foreign keys write
    expression_indexes: bool = True  #: an index may be over what an expression gives
    index_element_bytes: int | None = None  #: a value in an index may surely have so many; None: any
    case_sensitive_columns: bool | None = None  #: None: as `case_sensitive_names`
    max_comment: int | None = None  #: characters of the longest comment
    views_by_name: bool = False  #: a view finds its tables and columns by name whenever it is read
    equal_key_types: bool = False  #: the columns of a foreign key are of the very types that they point at
    #: Statements, each on a table of its own, whose locks one transaction bears; None: any number, or none has any.
    locking_together: int | None = None
    #: Seconds a row that taking rows out of a table of the target's own is reckoned with; measured 0.6 µs (PostgreSQL)
    #: to 2 µs.
    seconds_per_row_back: float = 2e-6


class Session(Protocol):
    """One connection with pinned settings. Drivers' errors arrive as `sensei.errors`.

    Life: connect() gives it outside a transaction; begin, run/rows …, commit or rollback; close.
    Outside begin/commit each statement commits by itself. `?` is the placeholder in every engine.
    """

    #: Tables that are read as a migration sees them, wherever their rows are read, counted or summed up.
    seen: Mapping[catalog.TableName, sight.Sight]

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Execute; return the number of rows affected (-1 where unknown)."""

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """Execute; return all rows."""

    def begin(self) -> None:
        """Open a transaction (one that may write, on a target: SQLite takes its write lock here)."""

    def commit(self) -> None:
        """Commit; raises CommitUnknown where the answer was lost."""

    def rollback(self) -> None:
        """Roll back; never raises for a connection that is already gone."""

    def close(self) -> None:
        """Close; never raises."""

    def confirm_pinned(self) -> None:
        """Raise Refused unless this is still the server session that connect() pinned (no pooler swapped it)."""


class Introspect(Protocol):
    """Reads what is there; writes nothing."""

    def catalog(self, session: Session, schemas: Sequence[str] | None, also: Sequence[str] = ()) -> Catalog:
        """Return everything in the schemas. Linear in objects.

        None: all schemas of the database but the system's and Sensei's own; where a schema is a database (MySQL), the
        one that the URL names, and those of `also` that are there.
        """

    def identity(self, session: Session) -> str:
        """Return an opaque text that differs between two databases, even of the same name."""

    def missing_privileges(
        self, session: Session, purpose: Purpose, tables: Sequence[TableName], schemas: Sequence[str]
    ) -> list[Missing]:
        """Return what the account lacks to read these tables, or to create in these schemas."""

    def content(self, session: Session, table: TableName) -> tuple[int, str]:
        """Return (row count, order-independent checksum) of a table; any changed bit of any row changes it."""

    def object_identity(self, session: Session, kind: str, name: TableName) -> str | None:
        """Return what identifies the object of that name now, or None.

        Kinds are "table", "sequence", "schema", and "statistics" where the planner's are in tables of their own:
        then it is these tables' names, with blanks between.
        """

    def dependents(self, session: Session, tables: Sequence[TableName], own: Sequence[str] = ()) -> list[str]:
        """Name what hangs on these tables from outside of them: views, foreign keys of other tables, …

        `own` are identities of tables that are not outside either, wherever they are by now; engines that take an undo
        in one transaction, or know tables by their names, need not look at them.
        """


class Undo(Protocol):
    """The way back: the same statements are run by `rollback` and printed by `rollback-script`."""

    def ours(self, migration: str, step: str, kind: str, name: catalog.TableName) -> str:
        """Return the condition, as SQL, under which what bears this name is what the step made."""

    def set_aside(self, migration: str, step: str, kind: str, name: catalog.TableName, evidence: str) -> list[Guarded]:
        """Move an object that this step created into the evidence place."""

    def drop(self, migration: str, step: str, kind: str, name: catalog.TableName) -> list[Guarded]:
        """Drop an object that this step created."""

    def forget_statistics(self, migration: str, step: str, tables: Sequence[catalog.TableName]) -> list[Guarded]:
        """Take away what an ANALYZE of these tables left outside of them; runs before they are set aside."""

    def prepare(self, migration: str, evidence: str | None) -> list[Guarded]:
        """Make the evidence place (None: none is needed) and raise the epoch."""

    def place(self, migration: str, evidence: str | None) -> list[Guarded]:
        """Make the evidence place, or (None) whatever has to be before tables are dropped; `prepare` does it, too."""

    def detach(
        self, migration: str, step: str, table: catalog.Table, keys: Sequence[catalog.ForeignKey]
    ) -> list[Guarded]:
        """Take foreign keys off a table that this step created and that is about to be set aside.

        They point at tables that stay: kept, they would let evidence hinder what happens to those.
        """

    def discard(self, evidence: str, names: Sequence[catalog.TableName]) -> list[str]:
        """Return the statements that drop evidence, for the commented end of a script and `evidence purge`."""

    def script(
        self, migration: str, token: str, head: Sequence[str], body: Sequence[Guarded], tail: Sequence[str]
    ) -> str:
        """Print an undo as a script for the engine's own client.

        `head` are comment lines, `body` the guarded statements, `tail` lines that stay commented out.
        """


class Rows(Protocol):
    """Reads and loads rows by chunk."""

    def key(self, table: catalog.Table) -> ChunkKey:
        """Choose what the table is cut along."""

    def boundary(
        self, session: Session, table: catalog.TableName, key: ChunkKey, after: KeyValue | None, rows: int
    ) -> KeyValue | None:
        """Return the key of the rows-th row after `after`, or None where fewer are left."""

    def read(self, session: Session, spec: ReadSpec, form: Form) -> Iterator[Block]:
        """Yield the chunk's rows in key order; memory is bounded by a block, or by the largest row."""

    def load(self, session: Session, spec: LoadSpec, form: Form, blocks: Iterable[Block]) -> int:
        """Write rows inside the caller's transaction; return how many. Raises DataRejected."""

    def count(self, session: Session, table: catalog.TableName) -> int:
        """Count rows exactly."""

    def marker(self, session: Session) -> str:
        """Return an opaque mark of this moment, to ask `suspects` later, also in another process."""

    def recount(self, session: Session, marker: str, tables: Sequence[TableName]) -> dict[TableName, Recount]:
        """Count tables, and tell of each what `suspects` tells, in one pass where the engine can."""

    def suspects(self, session: Session, marker: str, tables: Sequence[catalog.TableName]) -> list[catalog.TableName]:
        """Return the tables that may have been written since the marker: never too few, perhaps too many."""

    def written(self, session: Session, marker: str, tables: Sequence[catalog.TableName]) -> list[catalog.TableName]:
        """Return the tables that others certainly wrote since the marker, as far as that can be told.

        An engine that only knows that its file was written names all of them.
        """

    def profile(self, session: Session, table: catalog.Table) -> dict[str, ColumnFacts]:
        """Scan a table for values that do not conform; empty where the engine enforces its types."""


class Connect(Protocol):
    """Opens a session."""

    def __call__(self, url: str, purpose: Purpose, *, application: str = "sensei") -> Session:
        """Connect and pin; raises ConnectFailed, Refused (pooler, read-only standby as target), BadInput."""


class Fence(Protocol):
    """Keeps two runners of a migration apart where a transaction can't: DDL that commits by itself sheds locks."""

    def take(self, session: Session, migration: str) -> None:
        """Wait for the migration's fence and hold it until `leave`, through commits; raises Transient in the end.

        Whoever holds it still after a bounded wait is a runner that was taken over: its statement is ended.
        """

    def leave(self, session: Session, migration: str) -> None:
        """Give it free; never raises for a connection that is gone, which has given it free by that."""


@dataclass(frozen=True)
class LedgerWords:
    """How an engine says what the ledger needs; the types hold any text, those of keys as much as a key may have."""

    identifier: str = "TEXT"  #: a migration's id
    name: str = "TEXT"  #: the name of a table or a step
    text: str = "TEXT"  #: not part of a key
    options: str = ""  #: after a table's closing parenthesis
    share: str = ""  #: after a SELECT: nobody may write the row before this transaction has ended


@dataclass(frozen=True)
class Dialect:
    """Statements that differ in their words alone; `{table}` is a quoted name, its rows' alias is c."""

    analyze: str = "ANALYZE {table}"
    delete: str = "DELETE FROM {table} AS c WHERE {condition}"
    shown: str = "CAST({column} AS text)"  #: a value as an operator reads it
    shown_bytes: str = "CAST({column} AS text)"
    #: Rows, alias c, get the values of another table's, alias s; `set_alias` stands before each column that is set.
    update: str = "UPDATE {table} AS c SET {sets} FROM {other} AS s WHERE {match}"
    set_alias: str = ""
    overriding: str = ""  #: between the columns of an INSERT and its query: values for identities are taken
    #: Before and after a DELETE that must take no rows of other tables along.
    alone: tuple[str, ...] = ()
    #: Before a transaction that must see, and hold, everything that it reads as it is.
    serial: tuple[str, ...] = ()
    together: tuple[str, ...] = ()


@dataclass(frozen=True)
class Engine:
    """An engine, put together from its parts."""

    name: str
    capabilities: Capabilities
    connect: Connect
    introspect: Introspect
    ddl: defining.DDL
    undo: Undo
    rows: Rows
    ledger_prefix: str  #: put before a ledger table's name to get its quoted, qualified name: `"sensei_".` or `sensei_`
    ledger_setup: tuple[str, ...] = ()  #: statements before the ledger's tables can be made
    ledger_words: LedgerWords = LedgerWords()
    dialect: Dialect = Dialect()
    script_command: str = ""  #: runs a rollback script, {script}, with the engine's own client
    fence: Fence | None = None  #: where DDL commits by itself
    #: What the plan should say of this server as a target, in an operator's words.
    notes: Callable[[Session], list[str]] | None = None
    digests: comparing.Digests | None = None  #: None: rows are summed up where they are read
    keep: keeping.Keep | None = None  #: sets the target's own tables aside; None: not carried out on this engine
    bind: keeping.Bind | None = None
    merge: merging.Merge | None = None  #: adds rows to the target's own tables; None: not carried out on this engine
    survey: comparing.Survey | None = None  #: None: validation can't ask this engine yet
    hazards: hazards.Hazards | None = None  #: None: nothing is known of values that others' types don't hold
    ask: asking.Ask | None = None  #: None: rules and workloads can't be asked of this engine
    weigh: weighing.Weigh | None = None  #: None: expressions can't be tried on this engine


@contextlib.contextmanager
def fenced(engine: Engine, session: Session, migration: str) -> Iterator[None]:
    """Hold the migration's fence for a block, where the engine needs one."""
    if engine.fence is None:
        yield
        return
    engine.fence.take(session, migration)
    try:
        yield
    finally:
        engine.fence.leave(session, migration)


@contextlib.contextmanager
def transaction(session: Session) -> Iterator[Session]:
    """Run a block in a transaction: commit at its end, roll back on any error."""
    session.begin()
    try:
        yield session
    except BaseException:
        session.rollback()
        raise
    session.commit()


def key_text(value: KeyValue | None) -> str | None:
    """Write a key position as JSON text; bytes become {"hex": …}."""
    if value is None:
        return None
    return json.dumps([{"hex": v.hex()} if isinstance(v, bytes) else v for v in value], ensure_ascii=False)


def key_value(text: str | None) -> KeyValue | None:
    """Read what `key_text` wrote."""
    if text is None:
        return None
    return tuple(bytes.fromhex(v["hex"]) if isinstance(v, dict) else v for v in json.loads(text))
