"""The way back on PostgreSQL: guarded statements, run one by one or printed as a script for psql."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Sequence

from sensei import catalog
from sensei.engines import base
from sensei.engines.postgres import ddl

_LEDGER = '"sensei_"'
#: Statements in one transaction. Each table that is dropped takes some ten to thirty locks, which are kept to the end
#: of the transaction, and by default all sessions of a server share 6,400.
TOGETHER = 200
_KINDS = {"table": "'r', 'p', 'f'", "sequence": "'S'", "view": "'v'"}


def _lit(text: str) -> str:
    return ddl.literal(text)


def _recorded(migration: str, step: str) -> str:
    return (
        f"(SELECT o.identity FROM {_LEDGER}.objects o WHERE o.migration = {_lit(migration)} AND o.step = {_lit(step)})"
    )


def _running(migration: str) -> str:
    return f"EXISTS (SELECT 1 FROM {_LEDGER}.migrations m WHERE m.id = {_lit(migration)} AND m.state = 'running')"


def _ours(migration: str, step: str, kind: str, name: catalog.TableName) -> str:
    """Write the condition that the object of this name is the very one that the step created."""
    if kind == "schema":
        return (
            "EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n"
            f" WHERE n.nspname = {_lit(name.name or name.schema)} AND n.oid::text = {_recorded(migration, step)}"
            # Whatever else lies in it by now was not made by Sensei.
            " AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid)"
            " AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid)"
            " AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid))"
        )
    alone = (
        " AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')"
        " AND d.classid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0)"
        if kind == "sequence"  # one that a column owns goes where its table goes
        else ""
    )
    return (
        "EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE n.nspname = {_lit(name.schema)} AND c.relname = {_lit(name.name)}"
        f" AND c.relkind IN ({_KINDS[kind]}) AND c.oid::text = {_recorded(migration, step)}{alone})"
    )


def _word(kind: str) -> str:
    return {"sequence": "SEQUENCE", "view": "VIEW"}.get(kind, "TABLE")


class Undo:
    """Undo by moving into the evidence schema, or by dropping."""

    def ours(self, migration: str, step: str, kind: str, name: catalog.TableName) -> str:
        return _ours(migration, step, kind, name)

    def set_aside(
        self, migration: str, step: str, kind: str, name: catalog.TableName, evidence: str
    ) -> list[base.Guarded]:
        if kind == "schema":
            return self.drop(migration, step, kind, name)
        when = _ours(migration, step, kind, name)
        run = (
            f"DO {ddl.dollar(_move_table(name, evidence))}"
            if kind == "table"
            else f"ALTER SEQUENCE {ddl.qualified(name)} SET SCHEMA {ddl.quote(evidence)}"
        )
        return [base.Guarded(when, run, f"set {kind} {name} aside in {evidence}")]

    def drop(self, migration: str, step: str, kind: str, name: catalog.TableName) -> list[base.Guarded]:
        when = _ours(migration, step, kind, name)
        if kind == "schema":
            schema = name.name or name.schema
            return [base.Guarded(when, f"DROP SCHEMA {ddl.quote(schema)}", f"drop the empty schema {schema}")]
        found = []
        if kind == "table":
            # Only keys between tables of this migration go first; anything else that hangs on the table stops
            # the undo rather than being dropped with it.
            pointing = (
                "SELECT k.conrelid, k.conname FROM pg_catalog.pg_constraint k"
                f" WHERE k.contype = 'f' AND k.confrelid = {_lit(ddl.qualified(name))}::regclass"
                " AND k.conrelid <> k.confrelid AND k.conparentid = 0 AND k.conrelid::text IN"
                f" (SELECT o.identity FROM {_LEDGER}.objects o WHERE o.migration = {_lit(migration)}"
                " AND o.kind = 'table')"
            )
            run = (
                f"DECLARE r record; BEGIN FOR r IN {pointing} LOOP"
                " EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', r.conrelid::regclass, r.conname);"
                " END LOOP; END"
            )
            says = f"drop the foreign keys of migrated tables that point at {name}"
            found.append(base.Guarded(when, f"DO {ddl.dollar(run)}", says))
        found.append(base.Guarded(when, f"DROP {_word(kind)} {ddl.qualified(name)}", f"drop {kind} {name}"))
        return found

    def prepare(self, migration: str, evidence: str | None) -> list[base.Guarded]:
        found = [
            base.Guarded(
                _running(migration),
                f"UPDATE {_LEDGER}.migrations SET epoch = epoch + {base.SCRIPT_EPOCH} WHERE id = {_lit(migration)}",
                f"stop every runner of {migration} from writing",
            )
        ]
        return found + self.place(migration, evidence)

    def place(self, migration: str, evidence: str | None) -> list[base.Guarded]:
        if evidence is None:
            return []
        missing = (
            f"NOT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n WHERE n.nspname = {_lit(evidence)})"
            f" AND {_running(migration)}"
        )
        return [base.Guarded(missing, f"CREATE SCHEMA {ddl.quote(evidence)}", f"make the evidence schema {evidence}")]

    def detach(
        self, migration: str, step: str, table: catalog.Table, keys: Sequence[catalog.ForeignKey]
    ) -> list[base.Guarded]:
        name = ddl.qualified(table.name)
        return [
            base.Guarded(
                f"{_ours(migration, step, 'table', table.name)} AND EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k"
                f" WHERE k.contype = 'f' AND k.conname = {_lit(key.name)}"
                # The name's own look-up fails where there is no such table, and conditions are tried in any order.
                f" AND k.conrelid = pg_catalog.to_regclass({_lit(name)}))",
                f"ALTER TABLE {name} DROP CONSTRAINT {ddl.quote(key.name)}",
                f"take the foreign key {key.name} off {table.name}: it points at {key.table}, which stays",
            )
            for key in keys
        ]

    def forget_statistics(self, migration: str, step: str, tables: Sequence[catalog.TableName]) -> list[base.Guarded]:
        return []  # they go with the tables

    def discard(self, evidence: str, names: Sequence[catalog.TableName]) -> list[str]:
        times = collections.Counter(n.name for n in names)
        # Of tables that shared a name, all but the first that came were renamed: only the server knows which.
        shared = [n for n in names if times[n.name] > 1]
        there = dict.fromkeys([*times, *map(fresh, shared)])
        # RESTRICT keeps what others hung on them. Some may never have come to be, and a purge that was cut off may have
        # dropped them already. They may point at each other: few go in one statement, of many the keys go before.
        slices = [list(there)[at : at + TOGETHER] for at in range(0, len(there), TOGETHER)]
        freed = [_refuse_bound(evidence), *(_free(evidence, some) for some in slices)] if len(slices) > 1 else []
        gone = [
            "DROP TABLE IF EXISTS " + ", ".join(ddl.qualified(catalog.TableName(evidence, n)) for n in some)
            for some in slices
        ]
        return [*(f"DO {ddl.dollar(block)}" for block in freed), *gone, f"DROP SCHEMA IF EXISTS {ddl.quote(evidence)}"]

    def script(
        self, migration: str, token: str, head: Sequence[str], body: Sequence[base.Guarded], tail: Sequence[str]
    ) -> str:
        known = (
            f"EXISTS (SELECT 1 FROM {_LEDGER}.migrations m WHERE m.id = {_lit(migration)} AND m.token = {_lit(token)})"
        )
        wrong = _lit(f"this is not the database that {migration} was carried out in; nothing was changed")
        guard = (
            "BEGIN\n"
            f"IF pg_catalog.to_regclass('{_LEDGER}.migrations') IS NULL THEN\n"
            f"  RAISE EXCEPTION USING MESSAGE = {wrong};\n"
            "END IF;\n"
            # A block of its own: the first condition must be settled before the ledger's table is named.
            f"IF NOT {known} THEN\n"
            f"  RAISE EXCEPTION USING MESSAGE = {wrong};\n"
            "END IF;\n"
            "END"
        )
        mark = base.Guarded(
            f"EXISTS (SELECT 1 FROM {_LEDGER}.migrations m"
            f" WHERE m.id = {_lit(migration)} AND m.state <> 'rolled_back')",
            f"UPDATE {_LEDGER}.migrations SET state = 'rolled_back' WHERE id = {_lit(migration)}",
            f"mark {migration} as rolled back",
        )
        lines = [
            *_comments(head),
            "\\set ON_ERROR_STOP on",
            "SET client_encoding = 'UTF8';",
            "SET standard_conforming_strings = on;",
            "SET client_min_messages = notice;",
            *_BEGIN,
            f"DO {ddl.dollar(guard)};",
            "",
        ]
        whole = len(body) <= TOGETHER
        # What can't be done is found before the first of several transactions.
        first = [] if whole else [g for g in body if g.stops]
        for number, guarded in enumerate([*first, *body, mark], 1):
            lines += [*_comments([guarded.says]), f"DO {ddl.dollar(_conditional(guarded))};", ""]
            if not whole and number % TOGETHER == 0:
                lines += ["COMMIT;", *_BEGIN, f"DO {ddl.dollar(_alone(migration))};", ""]
        lines += ["COMMIT;", *_comments(tail)]
        return "\n".join(lines) + "\n"


_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;",
    "SET LOCAL search_path = pg_catalog, pg_temp;",
    "SET LOCAL lock_timeout = '30s';",
    "SET LOCAL statement_timeout = 0;",
    "",
)


def _alone(migration: str) -> str:
    """Write a block that lets no other rollback go on until this transaction has ended."""
    return f"BEGIN\n  PERFORM 1 FROM {_LEDGER}.migrations m WHERE m.id = {_lit(migration)} FOR UPDATE;\nEND"


def _refuse_bound(evidence: str) -> str:
    """Write a block that fails where something hangs on evidence: dropping it in parts would find that half-way."""
    place = f"n.nspname = {_lit(evidence)}"
    hanging = (
        "SELECT 'foreign key ' || quote_ident(k.conname) || ' of table ' || k.conrelid::regclass::text AS w"
        " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class p ON p.oid = k.confrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
        f" WHERE k.contype = 'f' AND k.conparentid = 0 AND {place} AND c.relnamespace <> p.relnamespace"
        " UNION ALL SELECT DISTINCT CASE v.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view '"
        " ELSE 'rule of table ' END || v.oid::regclass::text"
        " FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace"
        " JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = t.oid"
        " AND d.classid = 'pg_catalog.pg_rewrite'::regclass JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid"
        f" JOIN pg_catalog.pg_class v ON v.oid = r.ev_class WHERE {place} AND v.oid <> t.oid"
    )
    return (
        "DECLARE found text; BEGIN"
        f" SELECT string_agg(w, ', ' ORDER BY w) INTO found FROM (SELECT w FROM ({hanging}) a LIMIT 20) b;"
        " IF found IS NOT NULL THEN RAISE EXCEPTION USING ERRCODE = 'dependent_objects_still_exist',"
        f" MESSAGE = {_lit(f'these hang on {evidence}, nothing was dropped: ')} || found; END IF; END"
    )


def _free(evidence: str, names: Sequence[str]) -> str:
    """Write a block that drops the foreign keys of tables in an evidence schema; whatever lies there was set aside."""
    listed = ", ".join(map(_lit, names))
    keys = (
        "SELECT k.conrelid, k.conname FROM pg_catalog.pg_constraint k"
        " JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE k.contype = 'f' AND k.conparentid = 0 AND n.nspname = {_lit(evidence)} AND c.relname IN ({listed})"
    )
    return (
        f"DECLARE r record; BEGIN FOR r IN {keys} LOOP"
        " EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', r.conrelid::regclass, r.conname);"
        " END LOOP; END"
    )


def _move_table(name: catalog.TableName, evidence: str) -> str:
    """Write a block that moves a table, renaming what would collide: two schemas may share names.

    It begins at what is the table's own: asked for with an OR, the server walks through all of pg_class for each table.
    """
    table = f"{_lit(ddl.qualified(name))}::regclass"
    other = catalog.TableName(name.schema, fresh(name))
    place = ddl.quote(evidence)
    return f"""DECLARE r record; BEGIN
FOR r IN
  SELECT c.oid, c.relkind, left(c.relname, 15) || '_' || c.oid::text AS fresh
  FROM (SELECT i.indexrelid AS oid FROM pg_catalog.pg_index i WHERE i.indrelid = {table}
        UNION
        SELECT d.objid FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
          AND d.refobjid = {table} AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')) own
  JOIN pg_catalog.pg_class c ON c.oid = own.oid
  WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_class e WHERE e.relname = c.relname AND e.relnamespace =
                (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = {_lit(evidence)}))
LOOP
  EXECUTE format('ALTER %s %s RENAME TO %I', CASE r.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'INDEX' END,
                 r.oid::regclass, r.fresh);
END LOOP;
IF pg_catalog.to_regclass({_lit(ddl.qualified(catalog.TableName(evidence, name.name)))}) IS NULL THEN
  ALTER TABLE {ddl.qualified(name)} SET SCHEMA {place};
ELSE
  ALTER TABLE {ddl.qualified(name)} RENAME TO {ddl.quote(other.name)};
  ALTER TABLE {ddl.qualified(other)} SET SCHEMA {place};
END IF;
END"""


def fresh(name: catalog.TableName) -> str:
    """Return the name in the evidence schema of a table whose own name is taken there."""
    mark = hashlib.sha256(str(name).encode()).hexdigest()[:12]
    return name.name.encode()[: ddl.MAX_NAME - 13].decode(errors="ignore") + "_" + mark


def _conditional(guarded: base.Guarded) -> str:
    says = _lit(guarded.says)
    if guarded.stops:
        return f"BEGIN\nIF {guarded.when} THEN\n  RAISE EXCEPTION USING MESSAGE = {says};\nEND IF;\nEND"
    return (
        f"BEGIN\nIF {guarded.when} THEN\n"
        f"  EXECUTE {ddl.dollar(guarded.run)};\n"
        f"  RAISE NOTICE USING MESSAGE = {says};\n"
        "END IF;\nEND"
    )


def _comments(lines: Sequence[str]) -> list[str]:
    """Comment lines out, however many lines hide in each of them."""
    return [f"-- {part}".rstrip() for line in lines for part in line.replace("\0", "").splitlines() or [""]]
