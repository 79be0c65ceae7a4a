"""SQLite's answers to questions about a table's content and order."""

from __future__ import annotations

from collections.abc import Sequence

from sensei import catalog
from sensei.catalog import types
from sensei.engines import base, comparing, surveying
from sensei.engines.sqlite import ddl, names, read


class Survey:
    """Aggregates over what each value is, whatever its column was declared as."""

    def columns(
        self, session: base.Session, spec: base.ReadSpec, distinct: bool
    ) -> tuple[int, dict[str, comparing.ColumnSurvey]]:
        mine = read.own(session)
        tail, params = read.range_sql(session, spec)
        canonical = read.expressions(mine, spec, "NULL")
        words = [_words(c, text) for c, text in zip(spec.columns, canonical, strict=True)]
        return surveying.columns(session, spec, words, distinct, tail.partition(" ORDER BY ")[0], params)

    def orphans(
        self,
        session: base.Session,
        child: catalog.TableName,
        columns: Sequence[str],
        parent: catalog.TableName,
        references: Sequence[str],
    ) -> comparing.Orphans:
        return surveying.orphans(
            session, ddl.DDL(), child, columns, parent, references, lambda column: f"CAST({column} AS TEXT)"
        )

    def highest(self, session: base.Session, table: catalog.TableName, column: str) -> int | None:
        x = names.quote(column)
        found = session.rows(f"SELECT max({x}){read.source(session, table)} WHERE typeof({x}) = 'integer'")[0][0]
        return None if found is None else int(found)

    def asleep(
        self, session: base.Session, tables: Sequence[catalog.TableName]
    ) -> list[tuple[catalog.TableName, str, str]]:
        return []  # nothing in a file can be switched off: foreign keys are each connection's own business


def _words(column: base.ReadColumn, canonical: str) -> surveying.Words:
    x, of = names.quote(column.name), column.type
    text = f"CASE WHEN typeof({x}) = 'text' THEN {x} END"
    return surveying.Words(
        is_null=f"{x} IS NULL",
        # Exact numbers too long for SQLite's own are there as text.
        number=f"CASE typeof({x}) WHEN 'integer' THEN {x} WHEN 'real' THEN {_bounded(x)}"
        f" WHEN 'text' THEN CASE WHEN {x} GLOB '*[0-9]*' THEN CAST({x} AS REAL) END END",
        moment=canonical,
        length=f"length({x})"
        if of.kind is not types.Kind.TEXT
        else f"length(rtrim({x}))"
        if of.fixed
        else f"length({text})",
        distinct=x if of.kind in (types.Kind.INTEGER, types.Kind.BOOLEAN) else f"({canonical}) COLLATE BINARY",
    )


def _bounded(x: str) -> str:
    return f"CASE WHEN {x} BETWEEN -1e150 AND 1e150 THEN {x} END"
