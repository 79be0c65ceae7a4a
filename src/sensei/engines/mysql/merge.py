"""Adds staged rows to MariaDB's own tables, with the table locked, and takes them out again."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sensei import catalog
from sensei.engines import base, merging
from sensei.engines.mysql import ddl, keep, keep_queries, names, privileges, undo

_DDL = ddl.DDL()
_STEPS = f"{names.OWN_PREFIX}steps"
#: Under the position of a table's numbers: the next number, as information_schema has it.
_NEXT = "auto_increment"
_OFF, _ON = "SET SESSION foreign_key_checks = 0", "SET SESSION foreign_key_checks = 1"


class Merge:
    """Fills the port `merging.Merge`.

    The transaction is serializable: what it reads nobody writes until it has ended. Foreign keys are not checked in it
    while rows are taken out and put in again, so that those of others do not act; the rows were looked at before.
    """

    def look(
        self, session: base.Session, tables: Sequence[catalog.TableName]
    ) -> Mapping[catalog.TableName, merging.Addable]:
        """Return what there is to know of these tables."""
        reason = keep.too_old(session)
        if reason is not None:
            return {t: merging.Addable((reason,)) for t in tables}
        privileges.require_own(session, tables)  # else triggers would not be seen
        hinders: dict[catalog.TableName, list[str]] = {}
        wanted = set(tables)
        for schema in sorted({t.schema for t in tables}):
            for name, kind, engine in session.rows(keep_queries.HEADS, [schema]):
                table = catalog.TableName(schema, str(name))
                if table in wanted:
                    hinders[table] = _unfit(str(kind), str(engine or ""))
            for name, trigger, *_ in session.rows(keep_queries.TRIGGERS, [schema]):
                table = catalog.TableName(schema, str(name))
                if table in wanted:
                    hinders[table].append(f"its trigger {trigger} would fire: MariaDB can't keep one from it")
        incoming = _incoming(session, wanted)
        return {t: merging.Addable(tuple(found), (), tuple(incoming[t])) for t, found in hinders.items()}

    def begin(self, session: base.Session, addition: merging.Addition) -> Any:
        """Keep other writers out: every row is locked, and the gaps between them."""
        session.rows(f"SELECT COUNT(*) FROM {names.qualified(addition.table)} FOR UPDATE")
        session.run(_OFF)

    def end(self, session: base.Session, addition: merging.Addition, begun: Any) -> None:
        """Let foreign keys be checked again."""
        session.run(_ON)

    def conflict(self, addition: merging.Addition, index: catalog.Index) -> str:
        """Return the condition that a row which stays has the same values of a unique index.

        Rows are deleted from the stage under it, which a server lets happen only where the stage is read at one remove.
        """
        elements = [
            (f"LEFT({names.quote(c.name)}, {int(c.prefix)})" if c.prefix else names.quote(c.name))
            if c.name is not None
            else f"({c.expression})"
            for c in index.columns
        ]
        keys = ", ".join(f"{names.quote(k)} AS sensei_k{n}" for n, k in enumerate(addition.key))
        values = ", ".join(f"{e} AS sensei_v{n}" for n, e in enumerate(elements))
        same = " AND ".join(f"t.sensei_v{n} = {_of_row(e)}" for n, e in enumerate(elements))
        staged = " AND ".join(f"s.{names.quote(k)} = t.sensei_k{n}" for n, k in enumerate(addition.key))
        return (
            f"EXISTS (SELECT 1 FROM (SELECT {keys}, {values} FROM {names.qualified(addition.table)}) t WHERE {same}"
            " AND NOT EXISTS (SELECT 1 FROM"
            f" (SELECT {names.names(addition.key)} FROM {names.qualified(addition.stage)}) s WHERE {staged}))"
        )

    def overwrite(self, addition: merging.Addition) -> list[str]:
        """Return the statements that give the kept rows the stage's values.

        Out and in again: values of a unique key may go from one row to another, and what a column sets to the time of
        an update stays as it was.
        """
        if not [c for c in addition.columns if c not in addition.key]:
            return []
        q, key = names.qualified, addition.key
        values = merging.listed(_DDL, addition.columns, "s")
        if addition.others:
            values += ", " + merging.listed(_DDL, addition.others, "k")
        return [
            _delete(addition, addition.kept),
            f"INSERT INTO {q(addition.table)} ({merging.listed(_DDL, addition.whole)}) SELECT {values}"
            f" FROM {q(addition.stage)} AS s JOIN {q(addition.kept)} AS k ON {merging.match(_DDL, 'k', 's', key)}",
        ]

    def insert(self, addition: merging.Addition) -> list[str]:
        """Return the statements that insert the staged rows whose keys are in `added`."""
        q = names.qualified
        insert = (
            f"INSERT INTO {q(addition.table)} ({merging.listed(_DDL, addition.columns)})"
            f" SELECT {merging.listed(_DDL, addition.columns, 's')} FROM {q(addition.stage)} AS s"
            f" JOIN {q(addition.added)} AS a ON {merging.match(_DDL, 'a', 's', addition.key)}"
        )
        return [insert] if _points_at_itself(addition) else [_ON, insert, _OFF]

    def positions(self, session: base.Session, addition: merging.Addition) -> dict[str, Any]:
        """Return the number that the next row would get."""
        if not addition.counters:
            return {}
        found = session.rows(
            "SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
            [addition.table.schema, addition.table.name],
        )
        return {_NEXT: int(found[0][0]) if found and found[0][0] is not None else None}

    def advance(self, session: base.Session, addition: merging.Addition) -> None:
        """Do nothing: the server counts rows that bring their numbers along."""

    def undo(self, migration: str, step: str, addition: merging.Addition, evidence: str) -> list[base.Guarded]:
        """Return the blocks that take the rows out again, and then put the numbers back."""
        lit = names.literal
        this = f"s.migration = {lit(migration)} AND s.step = {lit(step)}"
        done = f"EXISTS (SELECT 1 FROM {_STEPS} s WHERE {this} AND s.state = 'done')"
        refusals = _refusals(addition, addition.incoming)
        found = []
        # Rows of tables that the migration brings rows into are only out by the time that it is this table's turn.
        strangers = [i for i in addition.incoming if i.table not in addition.planned]
        if strangers:
            words = ", ".join(i.words for i in strangers)
            looks = f"BEGIN NOT ATOMIC {' '.join(_refusals(addition, strangers))} END"
            says = f"see that no row of others points at rows that were added to {addition.table} ({words})"
            found.append(base.Guarded(done, looks, says, looks=True))
        found.append(
            base.Guarded(
                done,
                _take_out(addition, evidence, refusals, f"{this} AND s.state = 'done'"),
                f"take the added rows out of the target's own table {addition.table}, and give overwritten ones their"
                f" old values; what was there is copied to {evidence}",
            )
        )
        if addition.counters:
            found.append(_count_back(migration, this, addition))
        return found


def _points_at_itself(addition: merging.Addition) -> bool:
    """Tell whether rows may point at others of the table: keys are checked row by row, and a partner may come later."""
    return any(i.table == addition.table for i in addition.incoming)


def _of_row(element: str) -> str:
    """Write a column, or the beginning of one, of the stage's row `c`."""
    if element.startswith("LEFT("):
        return f"LEFT(c.{element.removeprefix('LEFT(')}"
    return f"c.{element}" if element.startswith("`") else element


def _unfit(kind: str, engine: str) -> list[str]:
    if kind != "BASE TABLE":
        return [f"it is no plain table, but a {kind.lower()}"]
    if engine.lower() != "innodb":
        return [f"it is of the engine {engine}, which has no transactions"]
    return []


def _incoming(
    session: base.Session, wanted: set[catalog.TableName]
) -> Mapping[catalog.TableName, list[merging.Incoming]]:
    found: dict[catalog.TableName, list[merging.Incoming]] = defaultdict(list)
    for schema in sorted({t.schema for t in wanted}):
        for parent, of, table, key, *_ in session.rows(keep_queries.POINTING, [schema]):
            to, child = catalog.TableName(schema, str(parent)), catalog.TableName(str(of), str(table))
            if to not in wanted:
                continue
            rows = session.rows(keep_queries.KEYS_OF, [child.schema, child.name])
            listed = {k: list(g) for k, g in itertools.groupby(rows, key=lambda r: str(r[0]))}[str(key)]
            columns, references = tuple(str(r[1]) for r in listed), tuple(str(r[3]) for r in listed)
            words = f"foreign key {key} of table {child}"
            found[to].append(merging.Incoming(words, str(key), child, columns, references))
    return found


def _delete(addition: merging.Addition, those: catalog.TableName) -> str:
    """Write the statement that deletes the rows whose keys are in a table of the migration."""
    q = names.qualified
    return (
        f"DELETE t FROM {q(addition.table)} AS t JOIN {q(those)} AS k ON {merging.match(_DDL, 'k', 't', addition.key)}"
    )


def _refusals(addition: merging.Addition, keys: Sequence[merging.Incoming]) -> list[str]:
    """Write, of each foreign key towards the table, the statements that raise where rows which stay point at rows that
    go; its table may be gone by now."""
    found = []
    for key in keys:
        on = " AND ".join(
            f"x.{names.quote(own)} = t.{names.quote(to)}" for own, to in zip(key.columns, key.references, strict=True)
        )
        stays = ""
        if key.table == addition.table:  # its own rows go, or get their old values, as well
            by = merging.match(_DDL, "y", "x", addition.key)
            stays = "".join(
                f" AND NOT EXISTS (SELECT 1 FROM {names.qualified(place)} AS y WHERE {by})"
                for place in (addition.added, addition.kept)
            )
        count = (
            f"SELECT COUNT(*) INTO @sensei_pointing FROM {names.qualified(key.table)} AS x"
            f" JOIN {names.qualified(addition.table)} AS t ON {on}"
            f" JOIN {names.qualified(addition.added)} AS a ON {merging.match(_DDL, 'a', 't', addition.key)}"
            f" WHERE TRUE{stays}"
        )
        says = f"{key.words} points at rows that were added to {addition.table}: those rows would be orphans"
        found.append(
            f"SET @sensei_pointing = 0; IF {keep.is_there(key.table)} THEN EXECUTE IMMEDIATE {names.literal(count)};"
            f" END IF; IF @sensei_pointing > 0 THEN {_raise(says)} END IF;"
        )
    return found


def _raise(says: str) -> str:
    return f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = {names.literal(says[:500])};"


def _take_out(addition: merging.Addition, evidence: str, refusals: Sequence[str], this: str) -> str:
    """Write the block that takes the rows out in one transaction, after a copy of what was there."""
    q, table = names.qualified, names.qualified(addition.table)
    plain = catalog.TableName(evidence, addition.table.name)
    fresh = undo.fresh(addition.table, evidence)
    listed = merging.listed(_DDL, addition.whole, "t")
    keyed = " UNION ALL ".join(
        f"SELECT {names.names(addition.key)} FROM {q(those)}" for those in (addition.added, addition.kept)
    )
    copy = f"AS SELECT {listed} FROM {table} AS t JOIN ({keyed}) AS k ON {merging.match(_DDL, 'k', 't', addition.key)}"
    known = " OR ".join(
        f"(r.CONSTRAINT_SCHEMA = {names.literal(i.table.schema)} AND r.TABLE_NAME = {names.literal(i.table.name)}"
        f" AND r.CONSTRAINT_NAME = {names.literal(i.name)})"
        for i in addition.incoming
    )
    stranger = (
        "SELECT COUNT(*), MIN(CONCAT(r.CONSTRAINT_NAME, ' of ', r.TABLE_NAME)) INTO @sensei_keys, @sensei_key"
        " FROM information_schema.REFERENTIAL_CONSTRAINTS r"
        f" WHERE r.UNIQUE_CONSTRAINT_SCHEMA = {names.literal(addition.table.schema)}"
        f" AND r.REFERENCED_TABLE_NAME = {names.literal(addition.table.name)}"
        + (f" AND NOT ({known})" if known else "")
    )
    new_key = f"a foreign key to {addition.table} that was not there before would be left without its rows: "
    new_trigger = f"the table {addition.table} has a trigger that was not there before, and that would fire"
    has_trigger = (
        "EXISTS (SELECT 1 FROM information_schema.TRIGGERS g WHERE g.EVENT_OBJECT_SCHEMA ="
        f" {names.literal(addition.table.schema)} AND g.EVENT_OBJECT_TABLE = {names.literal(addition.table.name)})"
    )
    whole = merging.listed(_DDL, addition.whole)
    return (
        f"BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; {_ON}; RESIGNAL; END;"
        f" IF {has_trigger} THEN {_raise(new_trigger)} END IF;"
        f" {stranger}; IF @sensei_keys > 0 THEN SET @sensei_key = CONCAT({names.literal(new_key[:400])}, @sensei_key);"
        " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = @sensei_key; END IF;"
        f" IF NOT {keep.is_there(plain)} THEN CREATE TABLE {q(plain)} ENGINE=InnoDB {copy};"
        f" ELSEIF NOT {keep.is_there(fresh)} THEN CREATE TABLE {q(fresh)} ENGINE=InnoDB {copy}; END IF;"
        f" {_OFF}; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION;"
        f" SELECT COUNT(*) INTO @sensei_rows FROM {table} FOR UPDATE;"
        f" {' '.join(refusals)}"
        f" {_delete(addition, addition.added)}; {_delete(addition, addition.kept)};"
        f" {'' if _points_at_itself(addition) else f'{_ON};'}"
        f" INSERT INTO {table} ({whole}) SELECT {whole} FROM {q(addition.kept)};"
        f" UPDATE {_STEPS} s SET s.state = 'undone' WHERE {this};"
        f" COMMIT; {_ON}; END"
    )


def _count_back(migration: str, this: str, addition: merging.Addition) -> base.Guarded:
    """Write the block that puts the next number back, where it stands where the addition left it."""

    def fact(which: str) -> str:
        return f"CAST(JSON_VALUE(s.facts, '$.{which}.{_NEXT}') AS UNSIGNED)"

    where = (
        f"FROM {_STEPS} s JOIN information_schema.TABLES t"
        f" ON t.TABLE_SCHEMA = {names.literal(addition.table.schema)}"
        f" AND t.TABLE_NAME = {names.literal(addition.table.name)}"
        f" WHERE {this} AND s.state = 'undone' AND t.AUTO_INCREMENT = {fact('after')}"
        f" AND {fact('restore')} < {fact('after')}"
    )
    alter = f"ALTER TABLE {names.qualified(addition.table)} AUTO_INCREMENT = "
    return base.Guarded(
        f"EXISTS (SELECT 1 {where}) AND {undo.running(migration)}",
        f"BEGIN NOT ATOMIC SELECT {fact('restore')} INTO @sensei_next {where};"
        f" EXECUTE IMMEDIATE CONCAT({names.literal(alter)}, @sensei_next); END",
        f"let the numbers of {addition.table} go on where they stood",
    )
