"""Adds staged rows to PostgreSQL's own tables and takes them out again, triggers asleep and nothing cascading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sensei import catalog
from sensei.engines import base, merging
from sensei.engines.postgres import ddl, undo

_LEDGER = '"sensei_"'
_DDL = ddl.DDL()
#: How a trigger that was on is put back: by what pg_trigger.tgenabled said.
_AWAKE = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}

_HINDERS = """
WITH own AS (SELECT unnest(?::oid[]) AS oid)
SELECT oid::bigint, w FROM (
  SELECT own.oid, 'it is no plain table' AS w FROM own JOIN pg_class c ON c.oid = own.oid AND c.relkind <> 'r'
  UNION ALL
  SELECT h.inhparent, 'the table ' || h.inhrelid::regclass::text || ' inherits from it'
  FROM pg_inherits h WHERE h.inhparent IN (SELECT oid FROM own)
  UNION ALL
  SELECT w.ev_class, 'its rule ' || quote_ident(w.rulename) || ' would act on the rows'
  FROM pg_rewrite w WHERE w.ev_class IN (SELECT oid FROM own) AND w.rulename <> '_RETURN'
  UNION ALL
  SELECT own.oid, 'its policies hide rows from this account' FROM own WHERE row_security_active(own.oid)
  UNION ALL
  SELECT k.conrelid, 'its exclusion constraint ' || quote_ident(k.conname) || ' can''t be looked at row by row'
  FROM pg_constraint k WHERE k.conrelid IN (SELECT oid FROM own) AND k.contype = 'x'
) x ORDER BY 1, 2
"""
_TRIGGERS = """
SELECT tgrelid::bigint, tgname FROM pg_trigger
WHERE tgrelid = ANY(?::oid[]) AND NOT tgisinternal AND tgenabled <> 'D' ORDER BY 1, 2
"""
_INCOMING = """
SELECT k.confrelid::bigint, n.nspname, c.relname, k.conname,
       'foreign key ' || quote_ident(k.conname) || ' of table ' || k.conrelid::regclass::text,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(n, o) JOIN pg_attribute a
             ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.o),
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(n, o) JOIN pg_attribute a
             ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.o)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.confrelid = ANY(?::oid[]) AND k.conparentid = 0 ORDER BY 1, 2, 3, 4
"""
_OIDS = """
SELECT n.nspname, c.relname, c.oid::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN unnest(?::text[], ?::text[]) w(s, t) ON w.s = n.nspname AND w.t = c.relname
"""
_AWAKE_NOW = """
SELECT g.tgname, g.tgenabled FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ? AND c.relname = ? AND NOT g.tgisinternal AND g.tgenabled <> 'D' ORDER BY g.tgname
"""


class Merge:
    """Fills the port `merging.Merge`."""

    def look(
        self, session: base.Session, tables: Sequence[catalog.TableName]
    ) -> Mapping[catalog.TableName, merging.Addable]:
        """Return what there is to know of these tables."""
        oids = {
            int(oid): catalog.TableName(str(s), str(t))
            for s, t, oid in session.rows(_OIDS, [[t.schema for t in tables], [t.name for t in tables]])
        }
        hinders, silent = defaultdict(list), defaultdict(list)
        incoming: dict[int, list[merging.Incoming]] = defaultdict(list)
        for oid, words in session.rows(_HINDERS, [list(oids)]):
            hinders[int(oid)].append(str(words))
        for oid, name in session.rows(_TRIGGERS, [list(oids)]):
            silent[int(oid)].append(f"trigger {name}")
        for to, schema, name, key, words, own, references in session.rows(_INCOMING, [list(oids)]):
            table = catalog.TableName(str(schema), str(name))
            incoming[int(to)].append(merging.Incoming(str(words), str(key), table, tuple(own), tuple(references)))
        return {
            name: merging.Addable(tuple(hinders[oid]), tuple(silent[oid]), tuple(incoming[oid]))
            for oid, name in oids.items()
        }

    def begin(self, session: base.Session, addition: merging.Addition) -> Any:
        """Lock out other writers, and put the table's triggers to sleep; the owner's right."""
        table = ddl.qualified(addition.table)
        # Checks that wait for the transaction's end would forbid to wake the triggers before it.
        session.run("SET CONSTRAINTS ALL IMMEDIATE")
        session.run(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        awake = session.rows(_AWAKE_NOW, [addition.table.schema, addition.table.name])
        for name, _ in awake:
            session.run(f"ALTER TABLE {table} DISABLE TRIGGER {ddl.quote(str(name))}")
        return awake

    def end(self, session: base.Session, addition: merging.Addition, begun: Any) -> None:
        """Wake the triggers, each as it was."""
        table = ddl.qualified(addition.table)
        for name, how in begun:
            session.run(f"ALTER TABLE {table} {_AWAKE[how]} TRIGGER {ddl.quote(str(name))}")

    def conflict(self, addition: merging.Addition, index: catalog.Index) -> str:
        """Return the condition that a row which stays has the same values of a unique index."""
        return merging.taken(_DDL, addition, index, "=" if index.nulls_distinct else "IS NOT DISTINCT FROM")

    def overwrite(self, addition: merging.Addition) -> list[str]:
        """Return the statement that gives the kept rows the stage's values, in place."""
        columns = [c for c in addition.columns if c not in (*addition.key, *addition.pointers)]
        return [f"DO {ddl.dollar(_overwrite(addition, addition.stage, columns))}"] if columns else []

    def insert(self, addition: merging.Addition) -> list[str]:
        """Return the statements that insert the staged rows whose keys are in `added`, and then set the pointers."""
        q = ddl.qualified
        pointers = [c for c in addition.pointers if c in addition.columns]
        set_pointers = [f"DO {ddl.dollar(_overwrite(addition, addition.stage, pointers))}"] if pointers else []
        return [
            f"INSERT INTO {q(addition.table)} ({ddl.names(addition.columns)}) OVERRIDING SYSTEM VALUE"
            f" SELECT {merging.listed(_DDL, addition.columns, 's')} FROM {q(addition.stage)} s"
            f" JOIN {q(addition.added)} a ON {merging.match(_DDL, 'a', 's', addition.key)}",
            *set_pointers,
        ]

    def positions(self, session: base.Session, addition: merging.Addition) -> dict[str, Any]:
        """Return [last value, was it called] of each sequence that numbers the table."""
        found = {}
        for _, sequence in addition.counters:
            last, called = session.rows(f"SELECT last_value, is_called FROM {sequence}")[0]
            found[sequence] = [int(last), bool(called)]
        return found

    def advance(self, session: base.Session, addition: merging.Addition) -> None:
        """Put each sequence past its column's values."""
        for column, sequence in addition.counters:
            session.run(ddl.advance(f"{ddl.literal(sequence)}::regclass", [(addition.table, column)]))

    def undo(self, migration: str, step: str, addition: merging.Addition, evidence: str) -> list[base.Guarded]:
        """Return the block that takes the rows out again."""
        this_step = f"s.migration = {ddl.literal(migration)} AND s.step = {ddl.literal(step)} AND s.state = 'done'"
        when = f"EXISTS (SELECT 1 FROM {_LEDGER}.steps s WHERE {this_step})"
        return [
            base.Guarded(
                when,
                f"DO {ddl.dollar(_undo(addition, evidence, this_step))}",
                f"take the added rows out of the target's own table {addition.table}, and give overwritten ones their"
                f" old values; what was there is copied to {evidence}",
            )
        ]


def _overwrite(addition: merging.Addition, source: catalog.TableName, columns: Sequence[str]) -> str:
    """Write a block that updates the kept rows from a table that has their keys.

    In one statement; where rows exchange values of a unique key, which is looked at row by row, then one row after the
    other until all have theirs. What goes round in a circle is taken out and put in again, unless others point at it.
    """
    q = ddl.qualified
    sets = ", ".join(f"{ddl.quote(c)} = s.{ddl.quote(c)}" for c in columns)
    key = ddl.names(addition.key)
    update = (
        f"UPDATE ONLY {q(addition.table)} AS t SET {sets} FROM {q(source)} s"
        f" WHERE {merging.match(_DDL, 's', 't', addition.key)}"
    )
    kept = f" AND EXISTS (SELECT 1 FROM {q(addition.kept)} k WHERE {merging.match(_DDL, 'k', 't', addition.key)})"
    todo = 'pg_temp."sensei_todo"'
    one = f"{update} AND {merging.match(_DDL, 't', 'r', addition.key)}"
    whole = ddl.names([*addition.key, *columns])
    if addition.incoming:
        circle = (
            "RAISE EXCEPTION USING MESSAGE = "
            + ddl.literal(
                f"rows of {addition.table} exchange values of a unique key, and"
                f" {', '.join(i.words for i in addition.incoming)} points at them: take that key off first"
            )
            + ";"
        )
    else:
        # Columns that only the target has are lost by that for the length of two statements: they are in `kept`.
        rest = [c for c in addition.whole if c not in (*addition.key, *columns)]
        taken = merging.listed(_DDL, [*addition.key, *columns], "s") + (
            ", " + merging.listed(_DDL, rest, "k") if rest else ""
        )
        circle = (
            f"DELETE FROM ONLY {q(addition.table)} t USING {todo} w WHERE"
            f" {merging.match(_DDL, 't', 'w', addition.key)};"
            f" INSERT INTO {q(addition.table)} ({whole}{', ' + ddl.names(rest) if rest else ''})"
            f" OVERRIDING SYSTEM VALUE SELECT {taken} FROM {q(source)} s JOIN {q(addition.kept)} k ON"
            f" {merging.match(_DDL, 'k', 's', addition.key)} JOIN {todo} w ON"
            f" {merging.match(_DDL, 'w', 's', addition.key)}; EXIT;"
        )
    return f"""DECLARE r record; moved bigint; BEGIN
BEGIN
  {update}{kept};
EXCEPTION WHEN unique_violation THEN
  CREATE TEMP TABLE "sensei_todo" ON COMMIT DROP AS SELECT {key} FROM {q(addition.kept)};
  LOOP
    moved := 0;
    FOR r IN SELECT * FROM {todo} LOOP
      BEGIN
        {one};
        DELETE FROM {todo} d WHERE {merging.match(_DDL, "d", "r", addition.key)};
        moved := moved + 1;
      EXCEPTION WHEN unique_violation THEN NULL;
      END;
    END LOOP;
    EXIT WHEN NOT EXISTS (SELECT 1 FROM {todo});
    IF moved = 0 THEN {circle} END IF;
  END LOOP;
  DROP TABLE {todo};
END;
END"""


def _undo(addition: merging.Addition, evidence: str, this_step: str) -> str:
    q = ddl.qualified
    table, kept, added = q(addition.table), q(addition.kept), q(addition.added)
    is_added = f"EXISTS (SELECT 1 FROM {added} a WHERE {merging.match(_DDL, 'a', 't', addition.key)})"
    is_kept = f"EXISTS (SELECT 1 FROM {kept} k WHERE {merging.match(_DDL, 'k', 't', addition.key)})"
    others = [c for c in addition.whole if c not in addition.key]
    name = addition.table
    plain = catalog.TableName(evidence, name.name)
    fresh = catalog.TableName(evidence, undo.fresh(name))
    copy = f"AS SELECT t.* FROM ONLY {table} t WHERE {is_added} OR {is_kept}"
    restore = "\n".join(
        f"PERFORM pg_catalog.setval({ddl.literal(sequence)}::regclass,"
        f" (f -> 'restore' -> {ddl.literal(sequence)} ->> 0)::bigint,"
        f" (f -> 'restore' -> {ddl.literal(sequence)} ->> 1)::boolean) FROM {sequence} p"
        f" WHERE p.last_value = (f -> 'after' -> {ddl.literal(sequence)} ->> 0)::bigint"
        f" AND p.is_called = (f -> 'after' -> {ddl.literal(sequence)} ->> 1)::boolean;"
        for _, sequence in addition.counters
    )

    def overwrite(columns: Sequence[str]) -> str:
        return (
            f"EXECUTE {ddl.literal(f'DO {ddl.dollar(_overwrite(addition, addition.kept, columns))}')};"
            if columns
            else ""
        )

    words = addition.whole
    return f"""DECLARE r record; g record; n bigint; f json; awake text[] := '{{}}'; BEGIN
SELECT s.facts::json INTO f FROM {_LEDGER}.steps s WHERE {this_step};
SET CONSTRAINTS ALL IMMEDIATE;
LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE;
{_refuse_pointing(addition, is_added)}
FOR g IN SELECT t.tgname, t.tgenabled FROM pg_catalog.pg_trigger t
  WHERE t.tgrelid = {ddl.literal(table)}::regclass AND NOT t.tgisinternal AND t.tgenabled <> 'D'
LOOP
  EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', {ddl.literal(table)}::regclass, g.tgname);
  awake := awake || format('ALTER TABLE %s %s TRIGGER %I', {ddl.literal(table)}::regclass,
    CASE g.tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END, g.tgname);
END LOOP;
IF pg_catalog.to_regclass({ddl.literal(q(plain))}) IS NULL THEN
  EXECUTE {ddl.literal(f"CREATE TABLE {q(plain)} {copy}")};
ELSE
  EXECUTE {ddl.literal(f"CREATE TABLE {q(fresh)} {copy}")};
END IF;
{overwrite(addition.pointers)}
DELETE FROM ONLY {table} t WHERE {is_added};
{overwrite(others)}
INSERT INTO {table} ({ddl.names(words)}) OVERRIDING SYSTEM VALUE SELECT {merging.listed(_DDL, words, "k")} FROM {kept} k
  WHERE NOT EXISTS (SELECT 1 FROM ONLY {table} t WHERE {merging.match(_DDL, "t", "k", addition.key)});
{restore}
FOR n IN 1 .. coalesce(array_length(awake, 1), 0) LOOP EXECUTE awake[n]; END LOOP;
UPDATE {_LEDGER}.steps AS s SET state = 'undone' WHERE {this_step};
END"""


def _refuse_pointing(addition: merging.Addition, is_added: str) -> str:
    """Write the statements that raise where rows which stay point at rows that go."""
    name, table = addition.table, ddl.qualified(addition.table)
    found, known = [], []
    for key in addition.incoming:
        other = ddl.qualified(key.table)
        on = " AND ".join(
            f"x.{ddl.quote(own)} = t.{ddl.quote(to)}" for own, to in zip(key.columns, key.references, strict=True)
        )
        stays = ""
        if key.table == name:  # its own rows go, or get their old values, as well
            by = merging.match(_DDL, "y", "x", addition.key)
            stays = "".join(
                f" AND NOT EXISTS (SELECT 1 FROM {ddl.qualified(place)} y WHERE {by})"
                for place in (addition.added, addition.kept)
            )
        says = ddl.literal(f"{key.words} points at rows that were added to {name}: those rows would be orphans")
        found.append(
            f"IF pg_catalog.to_regclass({ddl.literal(other)}) IS NOT NULL THEN IF EXISTS (SELECT 1 FROM {other} x"
            f" JOIN ONLY {table} t ON {on} WHERE {is_added}{stays}) THEN"
            f" RAISE EXCEPTION USING MESSAGE = {says}; END IF; END IF;"
        )
        known.append(f"(pg_catalog.to_regclass({ddl.literal(other)})::oid, {ddl.literal(key.name)})")
    others = f" AND (k.conrelid, k.conname::text) NOT IN ({', '.join(known)})" if known else ""
    says = ddl.literal(f"a foreign key to {name} that was not there before would take rows of others along: ")
    found.append(
        "FOR r IN SELECT k.conname, k.conrelid::regclass::text AS t FROM pg_catalog.pg_constraint k"
        f" WHERE k.contype = 'f' AND k.confrelid = {ddl.literal(table)}::regclass"
        f" AND k.confdeltype IN ('c', 'n', 'd'){others} LOOP"
        f" RAISE EXCEPTION USING MESSAGE = {says} || r.conname || ' of ' || r.t; END LOOP;"
    )
    return "\n".join(found)
