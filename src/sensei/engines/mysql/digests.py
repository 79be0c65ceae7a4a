"""Rows summed up inside MariaDB and MySQL."""

from __future__ import annotations

from collections.abc import Sequence

from sensei import catalog, errors
from sensei.catalog import digestline, types
from sensei.engines import base, comparing
from sensei.engines.mysql import facts, names, read, render, rows

Kind = types.Kind

#: Floats that SQL has no canonical spelling for keep the server's own behind a word that is always the same: such a
#: block differs from another engine's, and is looked at closer.
_MARKS = render.Marks("\x1dsensei")


class Digests:
    """Fills the port `comparing.Digests`."""

    def own_hash(self, session: base.Session) -> bool:
        return False

    def sorts_as_number(self, native: str) -> bool:
        return native.lower().split("(")[0].split(" ")[0] in facts.INTEGERS | {"decimal", "numeric"}

    def span(self, session: base.Session, table: catalog.TableName, key: base.ChunkKey) -> tuple[int, int] | None:
        first = names.quote(key.columns[0])
        ((low, high),) = session.rows(
            f"SELECT MIN({first}), MAX({first}){read.source(facts.of(session, table), base.ChunkKey('whole'))}"
        )
        return None if low is None else (int(low), int(high))

    def block(
        self, session: base.Session, spec: base.ReadSpec, form: base.Form, limit: int, last: bool = True
    ) -> comparing.Digest:
        mine = facts.own(session)
        known = facts.of(session, spec.table)
        # Rows are aggregated as the index gives them: a sorted or limited inner query would be written to disk first.
        end = rows.Rows().boundary(session, spec.table, spec.key, spec.lower, limit)
        if end is not None:
            end = tuple(int(v) for v in end)
        inside = end is not None and (spec.upper is None or end <= spec.upper)
        where, params = read.range_sql(known, spec.key, spec.lower, end if inside else spec.upper)
        # The server cuts what is longer, without an error; the session's own bound is far above.
        most = int(session.rows("SELECT LEAST(@@max_allowed_packet, @@group_concat_max_len)")[0][0])
        line = _line(known, spec, range(len(spec.columns)), form)
        inner = read.bound(
            mine,
            f"SELECT COUNT(*) AS n, GROUP_CONCAT({line} SEPARATOR '\\n') AS g{read.source(known, spec.key)}{where}",
            params,
        )
        ((found, checksum, size),) = session.rows(f"SELECT n, MD5(g), LENGTH(g) FROM ({inner}) d")
        if size is not None and int(size) >= most:
            raise errors.ServerFailed(f"{found} rows of {spec.table} are more than max_allowed_packet holds at once")
        full = inside and int(found) >= limit
        return comparing.Digest(int(found), str(checksum or ""), end if full else None, int(size or 0))

    def buckets(
        self, session: base.Session, spec: base.ReadSpec, form: base.Form, key: Sequence[int], number: int
    ) -> dict[int, tuple[int, int]]:
        known = facts.of(session, spec.table)
        whole = f"MD5({_line(known, spec, range(len(spec.columns)), form)})"
        of_key = f"MD5({_line(known, spec, key, form)})"
        found = session.rows(
            f"SELECT CAST(CONV(SUBSTR({of_key}, 1, 4), 16, 10) AS UNSIGNED) & {number - 1} AS b, COUNT(*),"
            f" SUM(CAST(CONV(SUBSTR({whole}, 1, 15), 16, 10) AS UNSIGNED))"
            f"{read.source(known, base.ChunkKey('whole'))} GROUP BY b"
        )
        return {int(b): (int(n), int(total)) for b, n, total in found}


def _line(known: facts.Facts, spec: base.ReadSpec, positions: Sequence[int] | range, form: base.Form) -> str:
    """Return the SQL of a row's line, or of some of its columns'."""
    parts: list[str] = []
    for at in positions:
        each = spec.columns[at]
        column = known.column(each.name)
        own = form is base.Form.NATIVE
        sql = render.plain(column) if own else render.canonical(column, each.type, _MARKS)
        parts += _field(column, each.type, sql)
    # Binary: the bytes of text go through as they are, and collations need not agree.
    return f"CONCAT_WS(_binary x'1f', {', '.join(parts)})"


def _field(column: facts.Column, type: types.LogicalType, sql: str) -> list[str]:
    x, large = names.quote(column.name), digestline.may_be_large(type)
    if type.kind in digestline.FREE:
        length = f"LENGTH({sql})"
        parts = [length, f"IF({length} > {digestline.LARGE}, MD5({sql}), {sql})" if large else sql]
    elif type.kind is Kind.BYTES and large and column.word in facts.BLOBS:
        short = f"CONCAT(LENGTH({x}), ':', MD5({x}))"
        parts = [f"IF(LENGTH({x}) > {digestline.LARGE}, {short}, {sql})"]
    else:
        parts = [sql]
    return [f"IF({x} IS NULL, '', {p})" for p in parts] if column.nullable else parts
