"""Describes a whole database, rows included, so that "nothing changed" can be measured."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Any

import reader_snapshot_mysql
from reader_mysql import Mysql
from reader_rows import Postgres, Sqlite, Where, digest, open_reader, own_rows

#: What is described, by "kind name": each a mapping of property to value.
Snapshot = dict[str, dict[str, Any]]

# Each query gives: kind, name, schema (for leaving out the ignored), then named properties. Grants that were
# never touched are shown as the defaults that they stand for, in a fixed order.
_GRANTS = "(SELECT array_agg(g::text ORDER BY g::text) FROM unnest(coalesce({acl}, acldefault({kind}, {owner}))) g)"


def _grants(acl: str, kind: str, owner: str) -> str:
    return _GRANTS.format(acl=acl, kind=kind, owner=owner)


#: Objects that an extension brought are described by the extension's version alone.
_OWN = (
    "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{cls}'::regclass AND e.objid = {oid} AND e.deptype = 'e')"
)

_QUERIES = [
    f"""SELECT 'schema' AS "kind", nspname AS "name",
        nspname AS "schema", nspowner::regrole::text AS owner,
        {_grants("nspacl", "'n'", "nspowner")} AS grants, obj_description(oid, 'pg_namespace') AS comment
        FROM pg_namespace""",
    f"""SELECT CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm'
        THEN 'materialized view' WHEN 'S' THEN 'sequence relation' WHEN 'f' THEN 'foreign table'
        WHEN 'c' THEN 'composite type' ELSE relkind::text END AS "kind",
        c.oid::regclass::text AS "name",
        nspname AS "schema", relkind::text, relpersistence::text,
        relowner::regrole::text AS owner, reloptions::text, relrowsecurity, relforcerowsecurity,
        relreplident::text, relispopulated, pg_get_expr(relpartbound, c.oid) AS partition,
        pg_get_partkeydef(c.oid) AS partitioned_by, reloftype::regtype::text AS of_type, reltablespace::text,
        (SELECT array_agg(inhparent::regclass::text ORDER BY inhseqno) FROM pg_inherits
        WHERE inhrelid = c.oid) AS parents,
        CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END AS definition,
        {_grants("relacl", "CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::" + '"char"', "relowner")} AS grants,
        obj_description(c.oid, 'pg_class') AS comment
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
        AND {_OWN.format(cls="pg_class", oid="c.oid")}""",
    """SELECT 'column' AS "kind", c.oid::regclass || '.' || quote_ident(attname) AS "name",
        nspname AS "schema",
        row_number() OVER (PARTITION BY c.oid ORDER BY attnum) AS place,
        format_type(atttypid, atttypmod) AS type,
        attnotnull, pg_get_expr(adbin, adrelid) AS default, attidentity::text, attgenerated::text,
        attcollation::regcollation::text AS collation, attstorage::text, attoptions::text, attislocal,
        (SELECT array_agg(g::text ORDER BY g::text) FROM unnest(attacl) g) AS grants,
        col_description(c.oid, attnum) AS comment
        FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
        LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
        WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c')""",
    """SELECT 'constraint' AS "kind", CASE WHEN conrelid <> 0 THEN conrelid::regclass::text
        ELSE contypid::regtype::text END || '.' || quote_ident(conname) AS "name",
        nspname AS "schema",
        pg_get_constraintdef(o.oid) AS definition, convalidated, condeferrable, condeferred, conislocal,
        obj_description(o.oid, 'pg_constraint') AS comment
        FROM pg_constraint o JOIN pg_namespace n ON n.oid = connamespace WHERE contype <> 't'""",
    """SELECT 'index' AS "kind", indexrelid::regclass::text AS "name",
        nspname AS "schema",
        pg_get_indexdef(indexrelid) AS definition, indisvalid, indisready, indisclustered, indisreplident,
        reloptions::text, obj_description(indexrelid, 'pg_class') AS comment
        FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_namespace n ON n.oid = relnamespace""",
    """SELECT 'sequence' AS "kind", seqrelid::regclass::text AS "name",
        nspname AS "schema",
        seqtypid::regtype::text AS type, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle,
        (SELECT refobjid::regclass || '.' || refobjsubid || deptype::text FROM pg_depend
         WHERE objid = seqrelid AND classid = 'pg_class'::regclass AND deptype IN ('a', 'i')
         AND refobjsubid > 0) AS owned_by
        FROM pg_sequence JOIN pg_class c ON c.oid = seqrelid JOIN pg_namespace n ON n.oid = relnamespace""",
    f"""SELECT 'routine' AS "kind", p.oid::regprocedure::text AS "name",
        nspname AS "schema", prokind::text,
        CASE WHEN prokind IN ('f', 'p', 'w') THEN pg_get_functiondef(p.oid)
        ELSE (SELECT aggtransfn::text || aggfinalfn::text || coalesce(agginitval, '') FROM pg_aggregate
              WHERE aggfnoid = p.oid) END AS definition, proowner::regrole::text AS owner,
        {_grants("proacl", "'f'", "proowner")} AS grants, obj_description(p.oid, 'pg_proc') AS comment
        FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
        WHERE {_OWN.format(cls="pg_proc", oid="p.oid")}""",
    """SELECT 'trigger' AS "kind", tgrelid::regclass || '.' || quote_ident(tgname) AS "name",
        nspname AS "schema",
        pg_get_triggerdef(t.oid) AS definition, tgenabled::text,
        obj_description(t.oid, 'pg_trigger') AS comment
        FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = relnamespace
        WHERE NOT tgisinternal""",
    # A foreign key is enforced by triggers that can be switched off; their names are of no account.
    """SELECT 'enforcement' AS "kind", tgrelid::regclass || '.' || quote_ident(conname) AS "name",
        nspname AS "schema", array_agg(tgenabled::text ORDER BY tgenabled::text) AS enabled
        FROM pg_trigger t JOIN pg_constraint o ON o.oid = tgconstraint JOIN pg_class c ON c.oid = tgrelid
        JOIN pg_namespace n ON n.oid = relnamespace WHERE tgisinternal GROUP BY tgrelid, conname, nspname""",
    f"""SELECT 'type' AS "kind", t.oid::regtype::text AS "name",
        nspname AS "schema", typtype::text,
        typowner::regrole::text AS owner, format_type(typbasetype, typtypmod) AS base, typnotnull, typdefault,
        typcollation::regcollation::text AS collation, {_grants("typacl", "'T'", "typowner")} AS grants,
        (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum
        WHERE enumtypid = t.oid) AS labels,
        (SELECT rngsubtype::regtype::text FROM pg_range WHERE rngtypid = t.oid) AS range_of,
        obj_description(t.oid, 'pg_type') AS comment
        FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
        WHERE typtype IN ('d', 'e', 'r', 'm') AND {_OWN.format(cls="pg_type", oid="t.oid")}""",
    """SELECT 'rule' AS "kind", ev_class::regclass || '.' || quote_ident(rulename) AS "name",
        nspname AS "schema",
        pg_get_ruledef(r.oid) AS definition, ev_enabled::text FROM pg_rewrite r
        JOIN pg_class c ON c.oid = ev_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE rulename <> '_RETURN'""",
    """SELECT 'policy' AS "kind", schemaname || '.' || tablename || '.' || policyname AS "name",
        schemaname AS "schema", permissive, roles::text, cmd, qual, with_check FROM pg_policies""",
    """SELECT 'statistics' AS "kind", nspname || '.' || stxname AS "name",
        nspname AS "schema",
        pg_get_statisticsobjdef(s.oid) AS definition
        FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = stxnamespace""",
    """SELECT 'extension' AS "kind", extname AS "name",
        nspname AS "schema", extversion
        FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE nspname <> 'pg_catalog'""",
    """SELECT 'publication' AS "kind", pubname AS "name",
        pubname AS "schema", puballtables, pubinsert, pubupdate,
        pubdelete, pubtruncate, (SELECT array_agg(schemaname || '.' || tablename ORDER BY 1)
        FROM pg_publication_tables t WHERE t.pubname = p.pubname) AS tables FROM pg_publication p""",
    """SELECT 'slot' AS "kind", slot_name AS "name", slot_name AS "schema", plugin::text, slot_type
        FROM pg_replication_slots WHERE database = current_database()""",
    """SELECT 'event trigger' AS "kind", evtname AS "name",
        evtname AS "schema", evtevent::text,
        evtfoid::regproc::text, evtenabled::text, evttags FROM pg_event_trigger""",
    """SELECT 'default grants' AS "kind",
        concat_ws(' ', defaclrole::regrole, nspname, defaclobjtype) AS "name",
        coalesce(nspname, '') AS "schema",
        defaclrole::regrole::text, defaclobjtype::text, (SELECT array_agg(g::text ORDER BY g::text)
        FROM unnest(defaclacl) g) AS grants FROM pg_default_acl d LEFT JOIN pg_namespace n
        ON n.oid = defaclnamespace""",
    f"""SELECT 'database' AS "kind", '' AS "name", '' AS "schema", datdba::regrole::text AS owner,
        {_grants("datacl", "'d'", "datdba")} AS grants, shobj_description(oid, 'pg_database') AS comment,
        (SELECT array_agg(setconfig::text || setrole ORDER BY 1) FROM pg_db_role_setting
         WHERE setdatabase = d.oid) AS settings,
        (SELECT count(*) FROM pg_largeobject_metadata) AS large_objects
        FROM pg_database d WHERE datname = current_database()""",
]


def snapshot(
    where: Where,
    *,
    ignore_prefixes: Collection[str] = ("sensei_",),
    rows: bool = True,
    file_bytes: bool = False,
) -> Snapshot:
    """All that can be said of a database: objects, definitions, grants, comments, sequences, digests of rows.

    Schemas (PostgreSQL), databases and tables (MariaDB) or tables (SQLite), publications and slots whose names begin
    with one of ``ignore_prefixes`` are left out. ``file_bytes`` adds an SQLite file's own hash.
    """
    reader = open_reader(where)
    try:
        if isinstance(reader, Postgres):
            return _postgres(reader, tuple(ignore_prefixes), rows)
        if isinstance(reader, Mysql):
            return _mysql(reader, tuple(ignore_prefixes), rows)
        assert isinstance(where, os.PathLike)
        return _sqlite(reader, Path(where), tuple(ignore_prefixes), rows, file_bytes)
    finally:
        reader.close()


def diff_snapshots(before: Snapshot, after: Snapshot) -> list[str]:
    """What changed, in words; [] means nothing."""
    found = [f"{name}: gone" for name in before.keys() - after.keys()]
    found += [f"{name}: new" for name in after.keys() - before.keys()]
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        for part in sorted(old.keys() | new.keys()):
            if old.get(part) != new.get(part):
                found.append(f"{name}: {part}: {old.get(part)!r} -> {new.get(part)!r}")
    return sorted(found)


def _postgres(reader: Postgres, ignored: tuple[str, ...], rows: bool) -> Snapshot:
    found: Snapshot = {}
    for sql in _QUERIES:
        with reader.connection.cursor() as cursor:
            cursor.execute(sql)
            names = [d.name for d in cursor.description or ()]
            for row in cursor.fetchall():
                entry = dict(zip(names, row, strict=True))
                kind, name, schema = entry.pop("kind"), entry.pop("name"), entry.pop("schema")
                system = schema.startswith("pg_") or schema == "information_schema"
                if not system and not schema.startswith(ignored):
                    found[f"{kind} {name}"] = entry
    for full, entry in found.items():
        kind, _, name = full.partition(" ")
        if kind == "sequence" and not full.startswith("sequence relation"):
            entry["last_value"], entry["is_called"] = reader.query(f"SELECT last_value, is_called FROM {name}")[0]
    if rows:
        for schema, table in _with_rows(reader, ignored):
            held = digest(own_rows(reader, (schema, table)))
            found[f"rows {schema}.{table}"] = {"count": held.rows, "digest": held.total}
    return found


def _with_rows(reader: Postgres, ignored: tuple[str, ...]) -> list[tuple[str, str]]:
    found = reader.query(
        "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE (relkind = 'r' OR relkind = 'm' AND relispopulated)"
        " AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1, 2"
    )
    return [(schema, table) for schema, table in found if not schema.startswith(ignored)]


def _mysql(reader: Mysql, ignored: tuple[str, ...], rows: bool) -> Snapshot:
    found = reader_snapshot_mysql.describe(reader, ignored)
    if rows:
        for table in reader.tables():
            if not table.startswith(ignored):
                held = digest(own_rows(reader, table))
                found[f"rows {table}"] = {"count": held.rows, "digest": held.total}
    return found


def _sqlite(reader: Sqlite, path: Path, ignored: tuple[str, ...], rows: bool, file_bytes: bool) -> Snapshot:
    pragmas = ("user_version", "application_id", "encoding", "page_size", "auto_vacuum", "journal_mode")
    found: Snapshot = {"file": {p: reader.query(f"PRAGMA {p}")[0][0] for p in pragmas}}
    held_by_sqlite = []
    for kind, name, table, sql in reader.query("SELECT type, name, tbl_name, sql FROM sqlite_schema"):
        if name.startswith(ignored) or table.startswith(ignored):
            continue
        found[f"{kind} {name}"] = {"table": table, "definition": sql}
        if kind == "table" and name.startswith("sqlite_"):
            held_by_sqlite.append(name)
    if "sqlite_sequence" in held_by_sqlite:
        for name, last in reader.query("SELECT name, seq FROM sqlite_sequence"):
            if not name.startswith(ignored):
                found[f"sequence {name}"] = {"last": last}
    if rows:
        others = [t for t in held_by_sqlite if t != "sqlite_sequence"]
        for table in [*reader.tables(), *others]:
            if table.startswith(ignored):
                continue
            try:
                held = digest(own_rows(reader, table))
                found[f"rows {table}"] = {"count": held.rows, "digest": held.total}
            except sqlite3.DatabaseError as unreadable:  # a virtual table whose module is not here
                found[f"rows {table}"] = {"unreadable": str(unreadable)}
    if file_bytes:
        found["file"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
