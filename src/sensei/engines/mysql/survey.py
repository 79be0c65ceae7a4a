"""MariaDB's and MySQL's answers to questions about a table's content and order."""

from __future__ import annotations

from collections.abc import Sequence

from sensei import catalog
from sensei.catalog import types
from sensei.engines import base, comparing, surveying
from sensei.engines.mysql import ddl, facts, names, read

Kind = types.Kind


class Survey:
    """Aggregates; text is measured in characters, and compared by its bytes whatever its collation."""

    def columns(
        self, session: base.Session, spec: base.ReadSpec, distinct: bool
    ) -> tuple[int, dict[str, comparing.ColumnSurvey]]:
        known = facts.of(session, spec.table)
        where, params = read.range_sql(known, spec.key, spec.lower, spec.upper)
        words = [_words(known.column(c.name), c.type) for c in spec.columns]
        return surveying.columns(session, spec, words, distinct, f"{read.source(known, spec.key)}{where}", params)

    def orphans(
        self,
        session: base.Session,
        child: catalog.TableName,
        columns: Sequence[str],
        parent: catalog.TableName,
        references: Sequence[str],
    ) -> comparing.Orphans:
        return surveying.orphans(
            session, ddl.DDL(), child, columns, parent, references, lambda column: f"CAST({column} AS CHAR)"
        )

    def highest(self, session: base.Session, table: catalog.TableName, column: str) -> int | None:
        found = session.rows(
            f"SELECT MAX({names.quote(column)}){read.source(facts.of(session, table), base.ChunkKey('whole'))}"
        )[0][0]
        return None if found is None else int(found)

    def asleep(
        self, session: base.Session, tables: Sequence[catalog.TableName]
    ) -> list[tuple[catalog.TableName, str, str]]:
        return []  # triggers can't be switched off, and foreign keys only by a session for itself


def _words(column: facts.Column, of: types.LogicalType) -> surveying.Words:
    x = names.quote(column.name)
    text = x if column.charset in ("", "utf8mb4") else f"CONVERT({x} USING utf8mb4)"
    number = f"{x} + 0"
    if of.kind is Kind.FLOAT:
        wide = f"({x} + 0e0)"
        number = f"CASE WHEN {wide} BETWEEN -1e150 AND 1e150 THEN {wide} END"
    elif of.kind is Kind.DECIMAL and column.charset:
        # Exact numbers without limits are there as text, and so are NaN and the infinities.
        number = f"CASE WHEN {x} REGEXP '[0-9]' THEN {x} + 0e0 END"
    distinct = x
    if of.kind in (Kind.TEXT, Kind.UUID):
        distinct = f"CAST({text if column.charset else f'CAST({x} AS CHAR)'} AS BINARY)"
    length = f"OCTET_LENGTH({x})"
    if of.kind is Kind.TEXT:
        length = f"CHAR_LENGTH(RTRIM({text}))" if of.fixed else f"CHAR_LENGTH({text})"
    return surveying.Words(
        is_null=f"{x} IS NULL",
        number=number,
        moment=x,
        moment_text="CAST({} AS CHAR)",
        length=length,
        distinct=distinct,
        mean="AVG({} + 0e0)",  # of exact numbers the server would give four digits more than they have
    )
