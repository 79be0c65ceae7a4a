"""Compares what a table promises before and after a move: what is missing must be in the plan by name."""

from __future__ import annotations

import dataclasses
import re

import moves
import schema_facts
from schema_shape import Foreign, Shape

Table = tuple[str, str]


def arrival(
    move: moves.Move,
    source: moves.End,
    table: tuple[str, str],
    target: moves.End,
    there: tuple[str, str],
) -> list[str]:
    """Compare what a table promises across engines; what is missing must be in the plan by name."""
    a, b = schema_facts.shape(source, table), schema_facts.shape(target, there)
    said = {(kind, name) for kind, name, _ in move.left()}
    full = ".".join(p for p in table if p)
    found = []
    for column, needed in a.not_null.items():
        if b.not_null[column] != (needed or column in a.primary):
            found.append(f"{full}.{column}: not null {needed} -> {b.not_null[column]}")
    if a.primary != b.primary:
        found.append(f"{full}: primary key {a.primary} -> {b.primary}")
    mysql = "mysql" in (moves.engine(source), moves.engine(target))
    if _uniques(a, mysql) != _uniques(b, mysql):
        found.append(f"{full}: unique {_uniques(a, mysql)} -> {_uniques(b, mysql)}")
    for name, what in a.indexes.items():
        if name not in b.indexes and ("index", f"{full}.{name}") in said:
            continue
        if mysql and what[1]:
            continue  # compared above
        renamed = [n for n, w in b.indexes.items() if w == what and _told(move, full, f"index {name} becomes {n}")]
        there_now = b.indexes.get(name)
        # A part of a text is what MariaDB has in an index where the whole has no end.
        cut = there_now is not None and re.sub(r"\(\d+\)", "", str(there_now)) == str(what)
        if there_now != what and not renamed and not (cut and _told(move, full, f"index {name} holds the first")):
            found.append(f"{full}: index {name} {what} -> {b.indexes.get(name)}")
    for key in a.foreign:
        told = any(k == "foreign key" and n.startswith(full) for k, n in said)
        if key.columns and _plain(key) not in map(_plain, b.foreign) and not told:
            found.append(f"{full}: foreign key {key} is not there: {b.foreign}")
    if extra := {_plain(k) for k in b.foreign} - {_plain(k) for k in a.foreign}:
        found.append(f"{full}: foreign keys {extra} are new")
    missing = sum(1 for k, n in said if k == "check" and n.startswith(full + "."))
    # What an enum allows is a check where there are none, and said.
    missing -= sum(1 for c in a.types if _told(move, full, "arrives as text with a check", c))
    # What a type of another engine allows is a check of its column in MariaDB.
    more = b.column_checks if moves.engine(source) != "mysql" else 0
    if len(a.checks) - missing != len(b.checks) - more:
        found.append(f"{full}: {len(a.checks)} checks, {missing} announced, {len(b.checks)} there")
    for column in a.defaults - b.defaults:
        if ("default", f"{full}.{column}") not in said:
            found.append(f"{full}.{column}: its default is gone")
    for column in b.defaults - a.defaults:
        found.append(f"{full}.{column}: has a default that it had not")
    if a.numbered - b.numbered and not any(k == "default" and n.startswith(full) for k, n in said):
        found.append(f"{full}: {a.numbered} numbered by the source, {b.numbered} by the target")
    if a.position is not None and b.position is not None and b.position < a.position:
        found.append(f"{full}: numbers went on from {a.position}, now from {b.position}")
    return found


def _told(move: moves.Move, table: str, words: str, column: str | None = None) -> bool:
    return any(
        r["table"] == table and (column is None or r["column"] == column) and words in r["reason"]
        for r in move.plan["risks"]
    )


def homecoming(there: moves.Move, back: moves.Move, table: Table, a: Shape, c: Shape) -> list[str]:
    """What is not as it was, and was not announced by either plan for that very thing."""
    left = {(kind, name.rpartition(".")[2]) for move in (there, back) for kind, name, _ in move.left()}
    told = {(r["table"].rpartition(".")[2], r["column"]) for move in (there, back) for r in move.plan["risks"]}
    sqlite = there.plan["source_engine"] == "sqlite"
    found = [
        f"{column}: was {declared}, is {c.types.get(column)}"
        for column, declared in a.types.items()
        if not _same_type(declared, c.types.get(column, ""), sqlite) and (table[1], column) not in told
    ]
    found += [
        f"{w}: was {getattr(a, w)}, is {getattr(c, w)}"
        for w in ("not_null", "primary")
        if getattr(a, w) != getattr(c, w)
    ]
    mysql = "mysql" in (there.plan["source_engine"], there.plan["target_engine"])
    if _uniques(a, mysql) != _uniques(c, mysql):
        found.append(f"unique: was {_uniques(a, mysql)}, is {_uniques(c, mysql)}")
    lost = {_plain(k) for k in a.foreign} - {_plain(k) for k in c.foreign}
    if lost and not any(kind == "foreign key" for kind, _ in left):
        found.append(f"foreign keys: lost {lost}")
    if gained := {_plain(k) for k in c.foreign} - {_plain(k) for k in a.foreign}:
        found.append(f"foreign keys: gained {gained}")
    for name, index in a.indexes.items():
        renamed = index in c.indexes.values() and any(
            f"index {name} becomes" in r["reason"] for r in there.plan["risks"]
        )
        unique = mysql and index[1]  # compared above
        if c.indexes.get(name) != index and ("index", name) not in left and not renamed and not unique:
            found.append(f"index {name}: was {index}, is {c.indexes.get(name)}")
    if gone := {d for d in (a.defaults | a.numbered) - (c.defaults | c.numbered) if ("default", d) not in left}:
        found.append(f"defaults: lost {gone}")
    new = (c.defaults | c.numbered) - (a.defaults | a.numbered)
    if there.plan["target_engine"] == "sqlite":
        new -= set(a.primary)  # in SQLite every integer key numbers its rows, whether it was asked to or not
    if new:
        found.append(f"defaults: gained {new}")
    return found


#: What comes home as another type although no plan says so: pairs of expressions.
_UNSAID = (
    (r"(tiny|medium)?text", "longtext"),
    (r"(tiny|medium)?blob", "longblob"),
    (r"set\(.*\)", r"varchar\(\d+\)"),
    (r"char(\(\d+\))", r"varchar\(\d+\)"),
)


def _same_type(was: str, now: str, sqlite: bool) -> bool:
    """To SQLite all integers are of one type, to PostgreSQL text and varchar without a length."""
    if {was, now} == {"character varying", "text"}:
        return True
    if any(re.fullmatch(a, was) and re.fullmatch(b, now) for a, b in _UNSAID):
        return True
    return was == now or (sqlite and "INT" in was.upper() and "INT" in now.upper())


def _uniques(shape: Shape, mysql: bool) -> set[tuple[str, ...]]:
    """What must be unique; to MariaDB a unique index and a unique constraint are one."""
    return shape.uniques | ({columns for columns, unique in shape.indexes.values() if unique} if mysql else set())


def _plain(key: Foreign) -> Foreign:
    """RESTRICT and NO ACTION are one in MariaDB, and differ in PostgreSQL only where a check is put off."""
    words = {"NO ACTION": "RESTRICT"}
    return dataclasses.replace(
        key,
        on_delete=words.get(key.on_delete, key.on_delete),
        on_update=words.get(key.on_update, key.on_update),
    )
