"""The words in which single rows of a target's table are put right, so that what stood there before is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sensei import catalog
from sensei.engines import base, defining, merging

#: What a repair has beside the table itself, in the ledger's place: the keys of the rows that it is about, the rows as
#: they shall be, the rows as they were, and the keys of those that were taken out.
KEYS, WANTED, OLD, GONE = "keys", "wanted", "old", "gone"
PLACES = (KEYS, WANTED, OLD, GONE)
#: Actions of a foreign key that change rows of its own table.
_ACTING = frozenset({"CASCADE", "SET NULL", "SET DEFAULT"})


@dataclass(frozen=True)
class Pointer:
    """A foreign key that points at rows of the table, from any table of the database."""

    name: str
    table: catalog.TableName
    columns: tuple[str, ...]
    references: tuple[str, ...]
    follows: bool  #: where the referenced value changes, its rows are changed as well


@dataclass(frozen=True)
class Repair:
    """One table to put right, in the target's names."""

    table: catalog.TableName
    key: tuple[str, ...]
    columns: tuple[str, ...]  #: that are given to a row; of these a wanted row is made
    whole: tuple[str, ...]  #: every column that can be written: kept of each row that changes
    fixed: tuple[str, ...]  #: of `columns`, those that the server lets nobody update
    pointers: tuple[Pointer, ...]
    places: tuple[catalog.TableName, ...]  #: one for each of `PLACES`

    def place(self, what: str) -> catalog.TableName:
        """Return where one of `PLACES` is."""
        return self.places[PLACES.index(what)]

    @property
    def points_at_itself(self) -> bool:
        """Rows of the table may point at other rows of it."""
        return any(p.table == self.table for p in self.pointers)


def places(engine: base.Engine, migration: str, number: int, position: int) -> tuple[catalog.TableName, ...]:
    """Return the names of a table's places, beside the ledger's own tables: they are no part of anybody's catalog."""
    mark = hashlib.sha256(migration.encode()).hexdigest()[:12]
    found = []
    for what in PLACES:
        name = f"repair_{mark}_{number}_{position}_{what}"
        if engine.ledger_prefix.endswith("."):
            found.append(catalog.TableName(engine.ledger_prefix[:-1].strip('"'), name))
        else:
            found.append(catalog.TableName("", engine.ledger_prefix + name))
    return tuple(found)


def pointers(found: catalog.Catalog, table: catalog.TableName) -> tuple[Pointer, ...]:
    """Return every foreign key of a catalog that points at a table."""
    return tuple(
        Pointer(key.name, other.name, key.columns, key.references, key.on_update.upper() in _ACTING)
        for other in found.tables
        for key in other.foreign_keys
        if key.table == table
    )


def make(engine: base.Engine, repair: Repair) -> list[str]:
    """Return the statements that make the places; where DDL commits by itself, before the transaction."""
    q, options = engine.ddl.qualified, engine.ledger_words.options
    shapes = {KEYS: repair.key, WANTED: repair.columns, OLD: repair.whole, GONE: repair.key}
    return [
        statement
        for what, columns in shapes.items()
        for statement in (
            f"DROP TABLE IF EXISTS {q(repair.place(what))}",
            f"CREATE TABLE {q(repair.place(what))}{options} AS"
            f" SELECT {merging.listed(engine.ddl, columns)} FROM {q(repair.table)} WHERE 1 = 0",
        )
    ]


def unmake(engine: base.Engine, found: Sequence[catalog.TableName]) -> list[str]:
    """Return the statements that drop places in which nothing is kept."""
    return [f"DROP TABLE IF EXISTS {engine.ddl.qualified(name)}" for name in found]


def take_over(engine: base.Engine, repair: Repair, old: catalog.TableName, wanted: catalog.TableName) -> list[str]:
    """Return the statements that want the rows of an earlier repair as they were before it: `old`, of its keys."""
    ddl, q = engine.ddl, engine.ddl.qualified
    key = merging.listed(ddl, repair.key)
    return [
        f"INSERT INTO {q(repair.place(KEYS))} ({key}) SELECT {key} FROM {q(old)} UNION SELECT {key} FROM {q(wanted)}",
        f"INSERT INTO {q(repair.place(WANTED))} ({merging.listed(ddl, repair.columns)})"
        f" SELECT {merging.listed(ddl, repair.columns)} FROM {q(old)}",
    ]


def keep(engine: base.Engine, repair: Repair) -> str:
    """Write the statement that keeps the rows of these keys as they stand."""
    ddl, q = engine.ddl, engine.ddl.qualified
    return (
        f"INSERT INTO {q(repair.place(OLD))} ({merging.listed(ddl, repair.whole)})"
        f" SELECT {merging.listed(ddl, repair.whole, 't')} FROM {q(repair.table)} t"
        f" WHERE EXISTS (SELECT 1 FROM {q(repair.place(KEYS))} s WHERE {merging.match(ddl, 's', 't', repair.key)})"
    )


def counts(engine: base.Engine, repair: Repair) -> str:
    """Write a query for (rows kept, rows wanted, rows that are both)."""
    ddl, q = engine.ddl, engine.ddl.qualified
    old, wanted = q(repair.place(OLD)), q(repair.place(WANTED))
    return (
        f"SELECT (SELECT count(*) FROM {old}), (SELECT count(*) FROM {wanted}), (SELECT count(*) FROM {old} o"
        f" WHERE EXISTS (SELECT 1 FROM {wanted} w WHERE {merging.match(ddl, 'w', 'o', repair.key)}))"
    )


def leave(engine: base.Engine, repair: Repair) -> tuple[str, str]:
    """Return (statement that notes the rows to take out at which nothing points any more, statement that does it).

    Where something points at a row, a foreign key's action would take that along in silence.
    """
    ddl, q = engine.ddl, engine.ddl.qualified
    key = repair.key
    others = "".join(f" AND NOT EXISTS ({_pointing(ddl, repair, p, 't')})" for p in repair.pointers)
    note = (
        f"INSERT INTO {q(repair.place(GONE))} ({merging.listed(ddl, key)})"
        f" SELECT {merging.listed(ddl, key, 't')} FROM {q(repair.place(OLD))} t WHERE {_is_to_go(ddl, repair)}{others}"
    )
    gone = f"EXISTS (SELECT 1 FROM {q(repair.place(GONE))} s WHERE {merging.match(ddl, 's', 'c', key)})"
    return note, engine.dialect.delete.format(table=q(repair.table), condition=gone)


def staying(engine: base.Engine, repair: Repair) -> str:
    """Write a query for the number of rows that are to be taken out and are still there."""
    ddl, q = engine.ddl, engine.ddl.qualified
    return f"SELECT count(*) FROM {q(repair.place(OLD))} t WHERE {_is_to_go(ddl, repair)}"


def _is_to_go(ddl: defining.DDL, repair: Repair) -> str:
    q = ddl.qualified
    return " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {q(repair.place(what))} x WHERE {merging.match(ddl, 'x', 't', repair.key)})"
        for what in (WANTED, GONE)
    )


def _pointing(ddl: defining.DDL, repair: Repair, pointer: Pointer, alias: str) -> str:
    on = " AND ".join(
        f"p.{ddl.quote(own)} = {alias}.{ddl.quote(to)}"
        for own, to in zip(pointer.columns, pointer.references, strict=True)
    )
    if pointer.table == repair.table:
        on += f" AND NOT ({merging.match(ddl, 'p', alias, repair.key)})"
    return f"SELECT 1 FROM {ddl.qualified(pointer.table)} p WHERE {on}"


def followed(engine: base.Engine, repair: Repair) -> list[tuple[Pointer, str]]:
    """Return queries for rows whose referenced values would change, and take rows that point at them along."""
    ddl, q = engine.ddl, engine.ddl.qualified
    found = []
    for pointer in repair.pointers:
        moving = [c for c in pointer.references if c in repair.columns and c not in (*repair.key, *repair.fixed)]
        if not pointer.follows or not moving:
            continue
        changed = " OR ".join(f"o.{ddl.quote(c)} <> w.{ddl.quote(c)} OR w.{ddl.quote(c)} IS NULL" for c in moving)
        found.append((
            pointer,
            f"SELECT count(*) FROM {q(repair.place(OLD))} o JOIN {q(repair.place(WANTED))} w"
            f" ON {merging.match(ddl, 'w', 'o', repair.key)}"
            f" WHERE ({changed}) AND EXISTS ({_pointing(ddl, repair, pointer, 'o')})",
        ))  # fmt: skip
    return found


def update(engine: base.Engine, repair: Repair) -> list[str]:
    """Return the statement that gives rows which are there the wanted values, in place."""
    ddl, q = engine.ddl, engine.ddl.qualified
    # The key as well: two texts that a server's collation holds equal may be another key to the source.
    columns = [c for c in repair.columns if c not in repair.fixed]
    if not columns:
        return []
    return [
        engine.dialect.update.format(
            table=q(repair.table),
            other=q(repair.place(WANTED)),
            match=merging.match(ddl, "s", "c", repair.key),
            sets=", ".join(f"{engine.dialect.set_alias}{ddl.quote(c)} = s.{ddl.quote(c)}" for c in columns),
        )
    ]


def insert(engine: base.Engine, repair: Repair) -> str:
    """Write the statement that puts wanted rows in that are not there, in the order of their keys."""
    ddl, q = engine.ddl, engine.ddl.qualified
    return (
        f"INSERT INTO {q(repair.table)} ({merging.listed(ddl, repair.columns)}) {engine.dialect.overriding}"
        f"SELECT {merging.listed(ddl, repair.columns, 's')} FROM {q(repair.place(WANTED))} s"
        f" WHERE NOT EXISTS (SELECT 1 FROM {q(repair.place(OLD))} o WHERE {merging.match(ddl, 'o', 's', repair.key)})"
        f" ORDER BY {merging.listed(ddl, repair.key, 's')}"
    )
