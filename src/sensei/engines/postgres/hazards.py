"""Values that PostgreSQL's types do not hold, and those of its own that others' do not."""

from __future__ import annotations

import re

from sensei import catalog
from sensei.catalog import rowtext, types
from sensei.engines import base, hazards
from sensei.engines.hazards import NO_DATES, Hazard, Lack
from sensei.engines.postgres import ddl, rows

Kind = types.Kind

_NATIVE = re.compile(r"(?P<word>[a-z ]+?)\s*(?:\((?P<size>\d+)(?:,\s*(?P<scale>-?\d+))?\))?(?P<zone> with\w*.*)?")
_BITS = {"smallint": 16, "integer": 32, "bigint": 64}
_TEXTS = ("text", "character varying", "varchar", "character", "char")


class Hazards:
    """Fills `hazards.Hazards`."""

    def lacks(self, of: types.LogicalType, native: str) -> list[Lack]:
        """Return which values that mean `of` a type does not hold."""
        found = _NATIVE.fullmatch(native.lower())
        if found is None:
            return []
        word, size = found["word"].strip(), int(found["size"]) if found["size"] else None
        if word in ("date", "timestamp", "timestamptz") and of.kind in (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ):
            return [Lack(Hazard.ZERO_DATE, NO_DATES)]
        if word == "time" and of.kind is Kind.TIME:
            return [Lack(Hazard.DURATION, "durations below 00:00:00 or above 24:00:00")]
        if word == "boolean" and of.kind is Kind.INTEGER:
            return [Lack(Hazard.OUTSIDE, "numbers other than 0 and 1", 0, 1)]
        if word in _BITS and of.kind is Kind.INTEGER:
            return hazards.beyond(of, rowtext.integers(types.LogicalType(Kind.INTEGER, bits=_BITS[word])))
        if word in _TEXTS and of.kind is Kind.TEXT:
            lacks = [
                Lack(Hazard.NUL, "texts with a NUL character, which PostgreSQL does not hold"),
                Lack(Hazard.NO_TEXT, "texts with bytes that are no characters"),
            ]
            if of.labels and "" not in of.labels:
                lacks.append(Lack(Hazard.NO_LABEL, "an enum's empty error value"))
            return lacks + (hazards.longer(of, size, "characters") if size is not None else [])
        return []

    def rows(self, session: base.Session, table: catalog.TableName) -> str:
        """Return what to write after FROM."""
        return rows.source_of(session, table)

    def holding(
        self, session: base.Session, table: catalog.TableName, column: catalog.Column, lack: Lack
    ) -> str | None:
        """Return a condition that is true of such values."""
        x, of = ddl.quote(column.name), column.type
        match lack.hazard:
            case Hazard.NAN if of.kind in (Kind.FLOAT, Kind.DECIMAL):
                return f"{x} = 'NaN'"
            case Hazard.INFINITE if of.kind is Kind.FLOAT:
                return f"{x} IN ('Infinity', '-Infinity')"
            case Hazard.INFINITE if of.kind is Kind.DECIMAL and of.precision is None:
                return f"({x} > 1e131072 OR {x} < -1e131072) AND {x} <> 'NaN'"
            case Hazard.MINUS_ZERO if of.kind is Kind.FLOAT:
                return f"{x} = 0 AND {x}::text = '-0'"
            case Hazard.OUTSIDE if of.kind in (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ, Kind.INTEGER):
                low, high = (ddl.literal(str(v)) for v in (lack.low, lack.high))
                return f"{x} NOT BETWEEN {low} AND {high}"
            case Hazard.LONG if of.kind is Kind.TEXT:
                return f"char_length({x}) > {lack.high}"
            case Hazard.LONG if of.kind is Kind.BYTES:
                return f"octet_length({x}) > {lack.high}"
            case Hazard.DEEP if of.kind in (Kind.JSON, Kind.JSONB) and isinstance(lack.high, int):
                return _deeper(f"{x}::text", lack.high)
            case Hazard.UUID_VARIANT if of.kind is Kind.UUID:
                return f"{x}::text ~ '^.{{14}}[89a-f].{{4}}[0-7]'"
            case _:
                return None


def _deeper(text: str, levels: int) -> str:
    """Return a condition that is true of JSON with more containers in each other: peeled so often, some are left."""
    quoted, others, leaf = (ddl.literal(p) for p in (r'"(\\.|[^"\\])*"', r"[^][{}]", r"\[\]|\{\}"))
    brackets = f"regexp_replace(regexp_replace({text}, {quoted}, '', 'g'), {others}, '', 'g')"
    for _ in range(levels):
        brackets = f"regexp_replace({brackets}, {leaf}, '', 'g')"
    # Most documents have not even so many containers in all.
    few = f"length({text}) - length(translate({text}, '[{{', '')) <= {levels}"
    return f"CASE WHEN {few} THEN false ELSE {brackets} <> '' END"
