"""Tries an operator's `where`, `expression` and `inverse` on both servers before anything is planned on them."""

from __future__ import annotations

import decimal
from collections.abc import Mapping, Sequence

from sensei import catalog, errors
from sensei.catalog import rowtext, types
from sensei.engines import base, transforming
from sensei.plan import transformations
from sensei.work import sides

Kind = types.Kind
Verdict = types.Verdict
Key = tuple[catalog.TableName, str]

#: Values at the ends of what a kind holds, tried where an expression looks at its own column alone.
_EXTREMES: dict[Kind, tuple[str, ...]] = {
    Kind.DECIMAL: ("0", "1", "-1", "0.1", "-0.1", "0.01", "99999999"),
    Kind.FLOAT: ("0", "1", "-1", "0.1", "1e-10", "123456789.125"),
    Kind.TEXT: ("", " ", "a", "A", " a ", "O'Reilly", "é", "ß", "\U0001f600", "0", "a\nb"),
    Kind.DATE: ("0001-01-01", "1582-10-10", "2024-02-29", "9999-12-31"),
    Kind.TIMESTAMP: ("0001-01-01 00:00:00", "2024-02-29 23:59:59.999999", "9999-12-31 23:59:59"),
    Kind.TIME: ("00:00:00", "23:59:59.999999"),
}


def refuse_bad(source: sides.Side, session: base.Session, found: transformations.Transformed) -> None:
    """Raise BadInput, with the server's own words, where it does not understand a condition."""
    for table, seen in found.sights.items():
        if seen.where:
            try:
                transforming.count(source.engine, session, table, seen.where)
            except errors.ServerFailed as problem:
                raise errors.BadInput(f"tables.{table.name}.where: {problem.message}") from problem


def probe(
    source: sides.Side, reading: base.Session, target: sides.Side, writing: base.Session,
    found: transformations.Transformed,
) -> dict[Key, transformations.Probe]:  # fmt: skip
    """Return what expressions do to the rows that are there, and whether their inverses undo it."""
    return {
        (c.table, c.column): _probe(source, reading, target, writing, c, found.sights[c.table].where)
        for c in found.computed
    }


def _probe(
    source: sides.Side, reading: base.Session, target: sides.Side, writing: base.Session,
    computed: transformations.Computed, where: str,
) -> transformations.Probe:  # fmt: skip
    at = f"tables.{computed.table.name}.columns.{computed.column}"
    kind = computed.meant.kind
    try:
        rows, nulls, rounded, lost = transforming.effects(
            source.engine, reading, computed.table, where, computed.expression, computed.sql, kind
        )
        pairs = transforming.pairs(source.engine, reading, computed.table, where, computed.column, computed.sql)
    except errors.ServerFailed as problem:
        raise errors.BadInput(f"{at}.expression: {problem.message}") from problem
    if lost:
        raise errors.BadInput(
            f"{at}.expression: of {lost} of {rows} rows it gives something that is no {computed.target_native}",
            hint="write the expression so that it gives what the type holds, or NULL where nothing is meant",
        )
    if not computed.inverse:
        return transformations.Probe(rows, nulls, rounded, Verdict.LOSSY, "no inverse: nobody knows the way home")
    pairs += _extremes(source.engine, reading, computed)
    verdict, says = _undone(target, writing, computed, pairs)
    return transformations.Probe(rows, nulls, rounded, verdict, says)


def _extremes(
    engine: base.Engine, session: base.Session, computed: transformations.Computed
) -> list[tuple[str, str | None]]:
    """Return (value, computed value) of the ends of what the column can hold, as far as the expression takes them."""
    values: Sequence[str] = _EXTREMES.get(computed.of.kind, ())
    if computed.of.kind is Kind.INTEGER:
        whole = rowtext.integers(computed.of)
        low, high = whole[0], whole[-1]
        values = [str(v) for v in dict.fromkeys((0, 1, -1 if low else 2, low, high))]
    if not computed.alone:
        return []
    found: list[tuple[str, str | None]] = []
    for value in values:
        if computed.of.length is not None and len(value) > computed.of.length:
            continue
        try:
            native = engine.ddl.map_type(computed.of, engine.name, None).native
            sql = computed.sql
            found.append(
                (value, transforming.forward(engine, session, computed.column, native, computed.of, sql, value))
            )
        except (errors.ServerFailed, errors.DataRejected):
            continue  # the source itself refuses it, and would while it is copied
    return found


def _undone(
    target: sides.Side, session: base.Session, computed: transformations.Computed,
    pairs: Sequence[tuple[str, str | None]],
) -> tuple[Verdict, str]:  # fmt: skip
    at = f"tables.{computed.table.name}.columns.{computed.column}.inverse"
    engine, proven = target.engine, 0
    for value, there in pairs:
        if there is None:
            return Verdict.LOSSY, f"the inverse can't undo it: {value} becomes NULL"
        try:
            if not _fits(engine, session, computed, there):
                continue  # the target's type refuses it: such a row goes to quarantine, and not home
            back = transforming.backward(
                engine, session, computed.target, computed.target_native, computed.meant, computed.inverse, there
            )
        except (errors.ServerFailed, errors.DataRejected) as problem:
            if proven == 0:
                raise errors.BadInput(f"{at}: {problem.message}") from problem
            return (
                Verdict.LOSSY,
                f"the inverse can't undo it: {value} becomes {there}, of which the target says {problem.message}",
            )
        if back is None or not _alike(value, back, computed.of.kind):
            return Verdict.LOSSY, f"the inverse does not undo it: {value} becomes {there}, and that becomes {back}"
        proven += 1
    if not proven:
        return Verdict.LOSSY, "the inverse could not be tried on any value"
    return Verdict.EXACT, f"its inverse gave back all of {proven} values tried, of real rows and of the type's ends"


def _fits(engine: base.Engine, session: base.Session, computed: transformations.Computed, there: str) -> bool:
    """Tell whether a value stays what it is in the target's type: a cast may also cut it, or take the next one."""
    column, own = computed.target, engine.ddl.quote(computed.target)
    try:
        held = transforming.backward(engine, session, column, computed.target_native, computed.meant, own, there)
    except (errors.ServerFailed, errors.DataRejected):
        return False
    return held is not None and _alike(there, held, computed.meant.kind)


def _alike(one: str, other: str, kind: Kind) -> bool:
    if one == other:
        return True
    if kind is Kind.BOOLEAN:
        return one.lower()[:1].translate(_TRUTHS) == other.lower()[:1].translate(_TRUTHS)
    if kind in (Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT):
        try:
            left, right = decimal.Decimal(one), decimal.Decimal(other)
        except decimal.InvalidOperation:
            return False
        return float(left) == float(right) if kind is Kind.FLOAT else left == right
    if kind in (Kind.TIME, Kind.TIMESTAMP):
        return one.rstrip("0").rstrip(".") == other.rstrip("0").rstrip(".")
    return False


_TRUTHS = str.maketrans({"1": "t", "0": "f"})


def orphans(
    source: sides.Side, session: base.Session, tables: Sequence[catalog.Table], found: transformations.Transformed
) -> Mapping[tuple[catalog.TableName, str], int]:
    """Count, of each foreign key whose parent loses rows, the rows that stay and whose parent does not."""
    taken = {t.name for t in tables}
    result = {}
    for table in tables:
        for key in table.foreign_keys:
            parent = found.sights.get(key.table)
            if key.table in taken and parent is not None and parent.where:
                n = transforming.orphans(
                    source.engine, session, table.name, key.columns, key.table, key.references, dict(found.sights)
                )
                if n:
                    result[table.name, key.name] = n
    return result
