"""PostgreSQL's answers to questions about a table's content and order."""

from __future__ import annotations

from collections.abc import Sequence

from sensei import catalog
from sensei.catalog import types
from sensei.engines import base, comparing, surveying
from sensei.engines.postgres import ddl, digests, rows

_ASLEEP = """SELECT n.nspname, c.relname,
    CASE WHEN k.oid IS NOT NULL AND g.tgisinternal THEN 'foreign key' ELSE 'trigger' END,
    coalesce(CASE WHEN g.tgisinternal THEN k.conname END, g.tgname)
  FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_constraint k ON k.oid = g.tgconstraint
  WHERE g.tgenabled NOT IN ('O', 'A')"""
#: Beyond this a sum of doubles could overflow, which the server takes for an error.
_LARGE = "1e150"


class Survey:
    """Aggregates; text is measured in characters, and compared by its bytes."""

    def columns(
        self, session: base.Session, spec: base.ReadSpec, distinct: bool
    ) -> tuple[int, dict[str, comparing.ColumnSurvey]]:
        where, params = rows.range_sql(spec.key, spec.lower, spec.upper)
        tail = f" FROM {rows.source_of(session, spec.table)}{where}"
        known = digests.columns(session, spec.table)
        words = [_words(c, known.get(c.name, ("", False))[0]) for c in spec.columns]
        return surveying.columns(session, spec, words, distinct, tail, params)

    def orphans(
        self,
        session: base.Session,
        child: catalog.TableName,
        columns: Sequence[str],
        parent: catalog.TableName,
        references: Sequence[str],
    ) -> comparing.Orphans:
        return surveying.orphans(
            session, ddl.DDL(), child, columns, parent, references, lambda column: f"{column}::text"
        )

    def highest(self, session: base.Session, table: catalog.TableName, column: str) -> int | None:
        found = session.rows(f"SELECT max({ddl.quote(column)}) FROM {rows.source_of(session, table)}")[0][0]
        return None if found is None else int(found)

    def asleep(
        self, session: base.Session, tables: Sequence[catalog.TableName]
    ) -> list[tuple[catalog.TableName, str, str]]:
        wanted = set(tables)
        found: dict[tuple[catalog.TableName, str, str], None] = {}
        for schema, table, kind, name in session.rows(_ASLEEP):
            named = catalog.TableName(str(schema), str(table))
            if named in wanted:
                found[(named, str(kind), str(name))] = None
        return sorted(found)


#: Types whose cast to text says what COPY says.
_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "char", ""})


def _words(column: base.ReadColumn, native: str) -> surveying.Words:
    x, of = ddl.quote(column.name), column.type
    # IS NULL is also true of a row whose fields are all NULL, and such a row is a value.
    text = f"{x}::text" if native in _TEXTS else f"CASE WHEN {x} IS DISTINCT FROM NULL THEN concat({x}) END"
    null = "IS NULL" if of.kind is not types.Kind.TEXT or native in _TEXTS else "IS NOT DISTINCT FROM NULL"
    number = x
    if of.kind is types.Kind.FLOAT:
        number = f"CASE WHEN {x} BETWEEN -{_LARGE} AND {_LARGE} THEN {x}::float8 END"
    elif of.kind is types.Kind.DECIMAL:
        number = f"nullif({x}, 'NaN')"
    elif of.kind is types.Kind.BOOLEAN:
        number = f"{x}::int"
    length = f"char_length({text})" if of.kind is types.Kind.TEXT else f"octet_length({x})"
    if of.kind is types.Kind.TEXT and of.fixed:
        length = f"char_length(rtrim({x}::text))"
    return surveying.Words(
        is_null=f"{x} {null}",
        number=number,
        moment=x,
        moment_text="({})::text",
        length=length,
        distinct=f'(({text}) COLLATE "C")' if of.kind is types.Kind.TEXT else x,
    )
