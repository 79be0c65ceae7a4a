"""The way back in SQLite: guarded statements, run one by one or printed as a script for the `sqlite3` client."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from sensei import catalog
from sensei.engines import base, keeping
from sensei.engines.sqlite import ddl, names

#: The step that makes statistics: rollbacks of some tables ask for no step's.
_ANALYZE = "analyze"
_MIGRATIONS = f"main.{names.OWN_PREFIX}migrations"
_OBJECTS = f"main.{names.OWN_PREFIX}objects"
# Turns of the client's own settings that a user's ~/.sqliterc may have changed.
_SETTINGS = (".bail on", ".echo off", ".headers off", ".mode list", ".changes off", ".timeout 30000")


class Undo:
    """Fills the port `base.Undo`; kinds are "table" and "index", anything else has nothing to be undone."""

    def ours(self, migration: str, step: str, kind: str, name: catalog.TableName) -> str:
        """Return the condition under which what bears this name is what the step made."""
        return _ours(migration, step, kind, name, f"{names.OWN_PREFIX}evidence_{migration}")

    def set_aside(
        self, migration: str, step: str, kind: str, name: catalog.TableName, evidence: str
    ) -> list[base.Guarded]:
        """Rename a table that this step created to `<evidence>_<name>`; foreign keys among such tables follow.

        An index is dropped: its name counts in the whole file, and its definition is in the plan.
        """
        if kind != "table":
            return self.drop(migration, step, kind, name)
        aside = evidence_name(evidence, name)
        return [
            base.Guarded(
                _ours(migration, step, kind, name, evidence),
                # While definitions may be written, a view over a table that is gone does not stop a renaming.
                f"PRAGMA writable_schema = ON; ALTER TABLE {names.qualified(name)} RENAME TO {names.quote(aside)};"
                " PRAGMA writable_schema = RESET",
                f"set table {name} aside as {aside}",
            )
        ]

    def drop(self, migration: str, step: str, kind: str, name: catalog.TableName) -> list[base.Guarded]:
        """Drop a table, an index or a view that this step created."""
        if kind not in ("table", "index", "view"):
            return []
        return [
            base.Guarded(
                _ours(migration, step, kind, name, keeping.place_name("evidence", migration)),
                f"DROP {kind.upper()} {names.qualified(name)}",
                f"drop {kind} {name}",
            )
        ]

    def forget_statistics(self, migration: str, step: str, tables: Sequence[catalog.TableName]) -> list[base.Guarded]:
        """Drop SQLite's tables of statistics that the step's ANALYZE made, else only the rows of these tables."""
        # Before any such step was done, lines of these names are those of the target's own tables.
        still = (
            f"{running(migration)} AND EXISTS (SELECT 1 FROM main.{names.OWN_PREFIX}steps WHERE migration ="
            f" {names.literal(migration)} AND step = {names.literal(step or _ANALYZE)})"
        )
        listed = ", ".join(names.literal(t.name) for t in tables)
        found = []
        for table in ("sqlite_stat1", "sqlite_stat4"):
            there = f"EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = '{table}')"
            made = (
                f"EXISTS (SELECT 1 FROM {_OBJECTS} WHERE migration = {names.literal(migration)}"
                f" AND step = {names.literal(step)} AND kind = 'statistics'"
                f" AND instr(' ' || identity || ' ', ' {table} ') > 0)"
            )
            found += [
                base.Guarded(f"{still} AND {there} AND {made}", f"DROP TABLE main.{table}", f"drop {table}"),
                base.Guarded(
                    f"{still} AND {there} AND NOT {made}",
                    f"DELETE FROM main.{table} WHERE tbl IN ({listed})",
                    f"forget the statistics of migrated tables in {table}",
                ),
            ]
        return found

    def prepare(self, migration: str, evidence: str | None) -> list[base.Guarded]:
        """Raise the epoch; the evidence place is a prefix of names and needs no making."""
        where = f"id = {names.literal(migration)} AND state = 'running'"
        return [
            base.Guarded(
                f"EXISTS (SELECT 1 FROM {_MIGRATIONS} WHERE {where})",
                f"UPDATE {_MIGRATIONS} SET epoch = epoch + {base.SCRIPT_EPOCH} WHERE {where}",
                f"fence off every runner of {migration}",
            )
        ]

    def place(self, migration: str, evidence: str | None) -> list[base.Guarded]:
        """Return nothing: the evidence place is a prefix of names."""
        return []

    def detach(
        self, migration: str, step: str, table: catalog.Table, keys: Sequence[catalog.ForeignKey]
    ) -> list[base.Guarded]:
        """Write the table's stored definition without these keys: SQLite has no statement for it.

        This is the way that SQLite's documentation gives (ALTER TABLE, "other kinds of table schema changes"): how rows
        are stored does not depend on foreign keys. Other connections read the definition anew, as the move that
        follows changes the schema's version. It only happens to a definition that is still as Sensei wrote it.
        """
        if not keys:
            return []
        bare = dataclasses.replace(table, foreign_keys=tuple(k for k in table.foreign_keys if k not in keys))
        (wanted,) = ddl.DDL().create(bare)
        sql = names.literal(_stored(wanted))
        ours = _ours(migration, step, "table", table.name, keeping.place_name("evidence", migration))
        pointed = ", ".join(sorted({str(k.table) for k in keys}))
        return [
            base.Guarded(
                f"{ours} AND NOT EXISTS (SELECT 1 FROM main.sqlite_schema"
                f" WHERE type = 'table' AND name = {names.literal(table.name.name)} AND sql = {sql})",
                "PRAGMA writable_schema = ON;"
                f" UPDATE main.sqlite_schema SET sql = {sql} WHERE type = 'table'"
                f" AND name = {names.literal(table.name.name)};"
                f" UPDATE {_OBJECTS} SET identity = {sql} WHERE migration = {names.literal(migration)}"
                f" AND step = {names.literal(step)};"
                " PRAGMA writable_schema = RESET",
                f"take the foreign keys of {table.name} to {pointed} off: what they point at stays",
            )
        ]

    def discard(self, evidence: str, names: Sequence[catalog.TableName]) -> list[str]:
        """Return the statements that drop evidence."""
        return [f"DROP TABLE IF EXISTS {_quoted_evidence(evidence, n)}" for n in names]

    def script(
        self,
        migration: str,
        token: str,
        head: Sequence[str],
        body: Sequence[base.Guarded],
        tail: Sequence[str],
    ) -> str:
        """Print an undo for `sqlite3 FILE < script` or `sqlite3 FILE ".read script"`; one transaction, repeatable."""
        identity = f"id = {names.literal(migration)}"
        missing = f"nothing was changed: this file does not hold {migration}, or not the one of this script"
        step_file = f"sensei_rollback_{re.sub(r'[^A-Za-z0-9_]', '_', migration)}.tmp"
        lines = [
            *_comments(head),
            *_SETTINGS,
            # Definitions are edited; newer clients forbid that unless told. The client answers, which nobody needs.
            ".output /dev/null",
            ".dbconfig defensive off",
            ".dbconfig enable_trigger off",
            ".output stdout",
            "PRAGMA foreign_keys = OFF;",
            "PRAGMA legacy_alter_table = OFF;",
            "BEGIN IMMEDIATE;",
            # A check that fails is the only way for plain SQL to stop the client, and its name is what it says.
            f"CREATE TEMP TABLE sensei_guard (ok INTEGER CONSTRAINT {names.quote(missing)} CHECK (ok));",
            "INSERT INTO temp.sensei_guard SELECT EXISTS (SELECT 1 FROM main.sqlite_schema"
            f" WHERE name = '{names.OWN_PREFIX}migrations');",
            f"INSERT INTO temp.sensei_guard SELECT EXISTS (SELECT 1 FROM {_MIGRATIONS}"
            f" WHERE {identity} AND token = {names.literal(token)});",
            "CREATE TEMP TABLE sensei_step (written);",
        ]
        for number, guarded in enumerate(body):
            lines += _stop(guarded, number, step_file) if guarded.stops else _conditional(guarded, step_file)
        lines += [
            f"UPDATE {_MIGRATIONS} SET state = 'rolled_back',"
            " changed_at = strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')"
            f" WHERE {identity} AND state <> 'rolled_back';",
            "COMMIT;",
            f".shell rm -f {step_file}",
            *_comments(tail),
        ]
        return "\n".join(lines) + "\n"


def _stored(statement: str) -> str:
    """Return a CREATE TABLE as SQLite keeps it: without the database's name."""
    return re.sub(r"\ACREATE TABLE main\.", "CREATE TABLE ", statement)


def evidence_name(evidence: str, name: catalog.TableName) -> str:
    """Return the name that a table has while it is set aside."""
    return f"{evidence}_{name.name}"


def _quoted_evidence(evidence: str, name: catalog.TableName) -> str:
    return f"main.{names.quote(evidence_name(evidence, name))}"


def running(migration: str) -> str:
    """Return SQL that is true while a migration is not rolled back."""
    return f"EXISTS (SELECT 1 FROM {_MIGRATIONS} WHERE id = {names.literal(migration)} AND state = 'running')"


def made_by(migration: str, row: str, evidence: str) -> str:
    """Return SQL that is true where a row of sqlite_schema, by its alias, is an object that a migration made."""
    return (
        f"EXISTS (SELECT 1 FROM {_OBJECTS} AS o WHERE o.migration = {names.literal(migration)} AND o.kind = {row}.type"
        f" AND o.object_name = {row}.name AND {_bare('o.identity', evidence)} = {_bare(f'{row}.sql', evidence)})"
    )


def _bare(sql: str, evidence: str) -> str:
    # Setting a parent aside rewrites its name inside the children: that does not make them somebody else's.
    return f"replace(replace({sql}, '\"', ''), {names.literal(evidence.replace(chr(34), '') + '_')}, '')"


def _ours(migration: str, step: str, kind: str, name: catalog.TableName, evidence: str) -> str:
    """Return SQL that is true while the object which this step created stands under its own name."""
    return (
        f"EXISTS (SELECT 1 FROM {_OBJECTS} AS o JOIN main.sqlite_schema AS s"
        f" ON s.type = o.kind AND s.name = o.object_name"
        f" WHERE o.migration = {names.literal(migration)} AND o.step = {names.literal(step)}"
        f" AND o.kind = {names.literal(kind)} AND o.object_name = {names.literal(name.name)}"
        f" AND {_bare('s.sql', evidence)} = {_bare('o.identity', evidence)})"
    )


def _stop(guarded: base.Guarded, number: int, step_file: str) -> Iterable[str]:
    """End the client where the condition holds, with the reason as the name of the check that fails."""
    table, says = f"sensei_stop_{number}", names.quote(_one_line(guarded.says))
    return (
        f".shell rm -f {step_file}",
        f"CREATE TEMP TABLE {table} (ok INTEGER CONSTRAINT {says} CHECK (ok));",
        f"INSERT INTO temp.{table} SELECT NOT ({guarded.when});",
    )


def _conditional(guarded: base.Guarded, step_file: str) -> Iterable[str]:
    """Say, and do, only where the condition holds: the client has no IF, but it reads a file just written.

    writefile() is part of the `sqlite3` client and writes the statement byte by byte, whatever the output mode.
    """
    statement = names.literal(guarded.run + ";\n")
    return (
        f"SELECT {names.literal(_one_line(guarded.says))} WHERE {guarded.when};",
        f"INSERT INTO temp.sensei_step SELECT writefile('{step_file}',"
        f" CASE WHEN {guarded.when} THEN {statement} ELSE '' END);",
        f".read {step_file}",
    )


def _comments(texts: Iterable[str]) -> Iterable[str]:
    # A line break in a name must not end the comment that it stands in.
    return [f"-- {_one_line(text)}".rstrip() for text in texts]


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "?", text)
