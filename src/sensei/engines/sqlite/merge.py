"""Adds staged rows to an SQLite file's own tables and takes them out again; triggers and foreign keys are off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sensei import catalog
from sensei.engines import base, merging
from sensei.engines.sqlite import ddl, dependents, names

_DDL = ddl.DDL()
_STEPS = f"main.{names.OWN_PREFIX}steps"


class Merge:
    """Fills the port `merging.Merge`. A target's session fires no triggers and checks no foreign keys."""

    def look(
        self, session: base.Session, tables: Sequence[catalog.TableName]
    ) -> Mapping[catalog.TableName, merging.Addable]:
        """Return what there is to know of these tables."""
        kinds: dict[str, str] = dict(session.rows("SELECT name, type FROM pragma_table_list WHERE schema = 'main'"))
        silent = defaultdict(list)
        for name, table in session.rows("SELECT name, tbl_name FROM main.sqlite_schema WHERE type = 'trigger'"):
            silent[names.fold(str(table))].append(f"trigger {name}")
        by_fold = {names.fold(t.name): t for t in tables}
        incoming = dependents.pointing(session, by_fold.keys())
        return {
            table: merging.Addable(
                () if kinds.get(table.name) == "table" else ("it is no plain table",),
                tuple(silent[folded]),
                tuple(incoming[folded]),
            )
            for folded, table in by_fold.items()
        }

    def begin(self, session: base.Session, addition: merging.Addition) -> Any:
        """Return nothing: the transaction has the file to itself."""
        return None

    def end(self, session: base.Session, addition: merging.Addition, begun: Any) -> None:
        """Do nothing."""

    def conflict(self, addition: merging.Addition, index: catalog.Index) -> str:
        """Return the condition that a row which stays has the same values of a unique index."""
        return merging.taken(_DDL, addition, index, "=")

    def overwrite(self, addition: merging.Addition) -> list[str]:
        """Return the statements that give the kept rows the stage's values."""
        q, key = names.qualified, addition.key
        columns = [c for c in addition.columns if c not in key]
        if not columns:
            return []
        kept = f"EXISTS (SELECT 1 FROM {q(addition.kept)} AS k WHERE {merging.match(_DDL, 'k', 't', key)})"
        values = merging.listed(_DDL, addition.columns, "s")
        if addition.others:
            values += ", " + merging.listed(_DDL, addition.others, "k")
        # Out and in again: values of a unique key may go from one row to another. Nothing cascades, as keys are off.
        return [
            f"DELETE FROM {q(addition.table)} AS t WHERE {kept}",
            f"INSERT INTO {q(addition.table)} ({merging.listed(_DDL, addition.whole)}) SELECT {values}"
            f" FROM {q(addition.stage)} AS s JOIN {q(addition.kept)} AS k ON {merging.match(_DDL, 'k', 's', key)}",
        ]

    def insert(self, addition: merging.Addition) -> list[str]:
        """Return the statement that inserts the staged rows whose keys are in `added`."""
        q = names.qualified
        return [
            f"INSERT INTO {q(addition.table)} ({merging.listed(_DDL, addition.columns)})"
            f" SELECT {merging.listed(_DDL, addition.columns, 's')} FROM {q(addition.stage)} AS s"
            f" JOIN {q(addition.added)} AS a ON {merging.match(_DDL, 'a', 's', addition.key)}"
        ]

    def positions(self, session: base.Session, addition: merging.Addition) -> dict[str, Any]:
        """Return where AUTOINCREMENT stands, None where it was never used."""
        if not addition.counters:
            return {}
        found = session.rows("SELECT seq FROM main.sqlite_sequence WHERE name = ?", [addition.table.name])
        return {"sequence": found[0][0] if found else None}

    def advance(self, session: base.Session, addition: merging.Addition) -> None:
        """Do nothing: SQLite counts rows that bring their numbers along."""

    def undo(self, migration: str, step: str, addition: merging.Addition, evidence: str) -> list[base.Guarded]:
        """Return the statements that take the rows out again."""
        q, lit, key = names.qualified, names.literal, addition.key
        this_step = f"migration = {lit(migration)} AND step = {lit(step)} AND state = 'done'"
        table, kept, added = q(addition.table), q(addition.kept), q(addition.added)
        is_added = f"EXISTS (SELECT 1 FROM {added} AS a WHERE {merging.match(_DDL, 'a', 't', key)})"
        is_kept = f"EXISTS (SELECT 1 FROM {kept} AS k WHERE {merging.match(_DDL, 'k', 't', key)})"
        aside = q(catalog.TableName("", f"{evidence}_{addition.table.name}"))
        whole = merging.listed(_DDL, addition.whole)
        statements = [
            f"CREATE TABLE {aside} AS SELECT t.* FROM {table} AS t WHERE {is_added} OR {is_kept}",
            f"DELETE FROM {table} AS t WHERE {is_added} OR {is_kept}",
            f"INSERT INTO {table} ({whole}) SELECT {whole} FROM {kept}",
            *_counted(addition, this_step),
            f"UPDATE {_STEPS} SET state = 'undone' WHERE {this_step}",
        ]
        says = (
            f"take the added rows out of the target's own table {addition.table}, and give overwritten ones their old"
            f" values; what was there is copied to {evidence}"
        )
        when = f"EXISTS (SELECT 1 FROM {_STEPS} WHERE {this_step})"
        return [*_halts(addition, is_added, when), base.Guarded(when, "; ".join(statements), says)]


def _halts(addition: merging.Addition, is_added: str, when: str) -> list[base.Guarded]:
    """Return statements that fail, with the reason as a check's name, where rows that stay point at rows that go."""
    found: list[base.Guarded] = []
    for number, key in enumerate(addition.incoming):
        on = " AND ".join(
            f"x.{names.quote(own)} = t.{names.quote(to)}" for own, to in zip(key.columns, key.references, strict=True)
        )
        stays = ""
        if key.table == addition.table:
            by = merging.match(_DDL, "y", "x", addition.key)
            stays = "".join(
                f" AND NOT EXISTS (SELECT 1 FROM {names.qualified(place)} AS y WHERE {by})"
                for place in (addition.added, addition.kept)
            )
        says = f"{key.words} points at rows that were added to {addition.table}: those rows would be orphans"
        halt = f"sensei_halt_{number}"
        there = (
            f"EXISTS (SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = {names.literal(key.table.name)})"
        )
        statements = (
            f"CREATE TEMP TABLE {halt} (ok INTEGER CONSTRAINT {names.quote(says)} CHECK (ok))",
            f"INSERT INTO temp.{halt} SELECT NOT EXISTS (SELECT 1 FROM {names.qualified(key.table)} AS x"
            f" JOIN {names.qualified(addition.table)} AS t ON {on} WHERE {is_added}{stays})",
            f"DROP TABLE temp.{halt}",
        )
        found.append(
            base.Guarded(f"{when} AND {there}", "; ".join(statements), f"see that no {key.words} points at added rows")
        )
    return found


def _counted(addition: merging.Addition, this_step: str) -> list[str]:
    """Write the statements that put AUTOINCREMENT back, where it stands where the addition left it."""
    if not addition.counters:
        return []
    name = names.literal(addition.table.name)

    def fact(which: str) -> str:
        return f"(SELECT json_extract(facts, '$.{which}.sequence') FROM {_STEPS} WHERE {this_step})"

    stands = f"name = {name} AND seq IS {fact('after')}"
    return [
        f"DELETE FROM main.sqlite_sequence WHERE {stands} AND {fact('restore')} IS NULL",
        f"UPDATE main.sqlite_sequence SET seq = {fact('restore')} WHERE {stands}",
    ]
