"""The rows of a MariaDB or MySQL table: what it is cut along, reading, loading, counting, and who else wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from sensei import catalog
from sensei.engines import base
from sensei.engines.mysql import facts, load, names, quiet, read

#: Types whose order in an index is the order of their comparison with a constant, and whose text reads back exactly.
_ORDERED = frozenset(
    {
        "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "double", "char", "varchar", "binary",
        "varbinary", "date", "time", "datetime", "timestamp", "year", "uuid", "inet4", "inet6",
    }
)  # fmt: skip


class Rows:
    """Fills the port `base.Rows`."""

    def key(self, table: catalog.Table) -> base.ChunkKey:
        for columns in _candidates(table):
            found = [table.column(c) for c in columns]
            if all(not c.nullable and _word(c.native) in _ORDERED for c in found):
                return base.ChunkKey("columns", tuple(columns), tuple(c.native for c in found))
        return base.ChunkKey("whole")

    def boundary(
        self,
        session: base.Session,
        table: catalog.TableName,
        key: base.ChunkKey,
        after: base.KeyValue | None,
        rows: int,
    ) -> base.KeyValue | None:
        if key.kind != "columns":
            return None
        known = facts.of(session, table)
        while True:
            found = self._row(session, known, key, after, rows)
            if found is None or self._is_there(session, known, key, found):
                return found
            rows += 1  # bytes that are no characters came as question marks: the next one will do

    def _row(
        self, session: base.Session, known: facts.Facts, key: base.ChunkKey, after: base.KeyValue | None, rows: int
    ) -> base.KeyValue | None:
        where, params = read.range_sql(known, key, after, None)
        columns = ", ".join(names.quote(known.column(c).name) for c in key.columns)
        found = session.rows(
            f"SELECT {columns}{read.source(known, key)}{where}{read.order(known, key)} LIMIT 1 OFFSET {int(rows) - 1}",
            params,
        )
        return tuple(str(v) if isinstance(v, Decimal) else v for v in found[0]) if found else None

    def _is_there(self, session: base.Session, known: facts.Facts, key: base.ChunkKey, value: base.KeyValue) -> bool:
        columns = [known.column(c) for c in key.columns]
        if all(not c.charset or c.charset in facts.WHOLE for c in columns):
            return True
        constants = [read.constant(c, v) for c, v in zip(columns, value, strict=True)]
        where = " AND ".join(f"{names.quote(c.name)} = {sql}" for c, (sql, _) in zip(columns, constants, strict=True))
        params = [p for _, values in constants for p in values]
        return bool(session.rows(f"SELECT EXISTS (SELECT 1{read.source(known, key)} WHERE {where})", params)[0][0])

    def read(self, session: base.Session, spec: base.ReadSpec, form: base.Form) -> Iterator[base.Block]:
        return read.read(session, spec, form)

    def load(self, session: base.Session, spec: base.LoadSpec, form: base.Form, blocks: Iterable[base.Block]) -> int:
        return load.load(session, spec, form, blocks)

    def count(self, session: base.Session, table: catalog.TableName) -> int:
        return int(
            session.rows(f"SELECT COUNT(*){read.source(facts.of(session, table), base.ChunkKey('whole'))}")[0][0]
        )

    def recount(
        self, session: base.Session, marker: str, tables: Sequence[catalog.TableName]
    ) -> dict[catalog.TableName, base.Recount]:
        # Counted first: what is written while it counts is then a suspect too.
        counted = {table: self.count(session, table) for table in tables}
        suspects = set(self.suspects(session, marker, tables))
        return {table: base.Recount(rows, table in suspects) for table, rows in counted.items()}

    def marker(self, session: base.Session) -> str:
        return quiet.marker(session)

    def suspects(
        self, session: base.Session, marker: str, tables: Sequence[catalog.TableName]
    ) -> list[catalog.TableName]:
        return quiet.suspects(session, marker, tables)

    def written(
        self, session: base.Session, marker: str, tables: Sequence[catalog.TableName]
    ) -> list[catalog.TableName]:
        return quiet.certain(session, marker, tables)

    def profile(self, session: base.Session, table: catalog.Table) -> dict[str, base.ColumnFacts]:
        return {}


def _candidates(table: catalog.Table) -> Iterator[Sequence[str]]:
    """Yield the column lists that are unique, best first."""
    if table.primary is not None:
        yield table.primary.columns
    for key in table.uniques:
        yield key.columns
    for index in table.indexes:
        plain = [c.name for c in index.columns if c.name is not None and not c.descending and c.prefix is None]
        if index.unique and index.valid and index.method == "btree" and len(plain) == len(index.columns):
            yield plain


def _word(native: str) -> str:
    return native.lower().split("(")[0].split(" ")[0]
