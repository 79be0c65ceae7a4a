"""Values that MariaDB's and MySQL's types do not hold, and those of their own that others' do not."""

from __future__ import annotations

import re

from sensei import catalog
from sensei.catalog import rowtext, types
from sensei.engines import base, hazards, seeing
from sensei.engines.hazards import Hazard, Lack
from sensei.engines.mysql import facts, names

Kind = types.Kind

_NATIVE = re.compile(r"(?P<word>\w+)(?:\((?P<size>\d+)[^)]*\))?(?P<unsigned> unsigned)?.*", re.DOTALL)
#: MariaDB calls deeper documents invalid; MySQL takes a hundred.
_DEEPEST = 31
_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
#: Character sets with zeros in the bytes of other characters.
_WIDE = frozenset({"ucs2", "utf16", "utf16le", "utf32"})


class Hazards:
    """Fills `hazards.Hazards`."""

    def lacks(self, of: types.LogicalType, native: str) -> list[Lack]:
        """Return which values that mean `of` a type does not hold."""
        found = _NATIVE.fullmatch(native.lower())
        if found is None:
            return []
        word, size = found["word"], int(found["size"]) if found["size"] else None
        if word in ("float", "double") and of.kind is Kind.FLOAT:
            return [
                Lack(Hazard.NAN, "NaN"),
                Lack(Hazard.INFINITE, "infinite numbers"),
                Lack(Hazard.MINUS_ZERO, "minus zero"),
            ]
        if word == "decimal" and of.kind is Kind.DECIMAL:
            return [Lack(Hazard.NAN, "NaN"), Lack(Hazard.INFINITE, "infinite numbers")]
        if (word, of.kind) in (("date", Kind.DATE), ("datetime", Kind.TIMESTAMP)):
            end = "9999-12-31" if word == "date" else "9999-12-31 23:59:59.999999"
            start = "0001-01-01" if word == "date" else "0001-01-01 00:00:00"
            return [Lack(Hazard.OUTSIDE, f"a {of.kind} before the year 1, after 9999 or infinite", start, end)]
        if word == "timestamp" and of.kind is Kind.TIMESTAMPTZ:
            says = "instants before 1970-01-01 00:00:01 or after 2038-01-19 03:14:07 UTC"
            return [Lack(Hazard.OUTSIDE, says, "1970-01-01 00:00:01+00", "2038-01-19 03:14:07.999999+00")]
        if word == "uuid" and of.kind is Kind.UUID:
            says = "values that MariaDB takes for no uuid: the 13th digit is 8 to f, and the 17th is 0 to 7"
            return [Lack(Hazard.UUID_VARIANT, says)]
        if of.kind in (Kind.JSON, Kind.JSONB):
            says = f"JSON of more than {_DEEPEST} arrays and objects in each other, which MariaDB does not take"
            return [Lack(Hazard.DEEP, says, high=_DEEPEST)]
        if word == "tinyint" and size == 1 and of.kind is Kind.BOOLEAN:
            return []
        if word in _BITS and of.kind is Kind.INTEGER:
            whole = types.LogicalType(Kind.INTEGER, bits=_BITS[word], unsigned=bool(found["unsigned"]))
            return hazards.beyond(of, rowtext.integers(whole))
        if word in ("varchar", "char") and of.kind is Kind.TEXT and not of.labels and size is not None:
            return hazards.longer(of, size, "characters")
        if word in ("varbinary", "binary") and of.kind is Kind.BYTES and size is not None:
            return hazards.longer(of, size, "bytes")
        return []

    def rows(self, session: base.Session, table: catalog.TableName) -> str:
        """Return what to write after FROM."""
        view, whole = session.seen.get(table), names.qualified(table)
        return whole if view is None else f"{seeing.derived(view, whole, names.quote)} seen"

    def holding(
        self, session: base.Session, table: catalog.TableName, column: catalog.Column, lack: Lack
    ) -> str | None:
        """Return a condition that is true of such values."""
        x, known = names.quote(column.name), facts.of(session, table).column(column.name)
        match lack.hazard:
            case Hazard.ZERO_DATE if known.word in ("date", "datetime", "timestamp"):
                # A server that allows invalid dates takes 31 February, and reckons it to be in March.
                no_day = f"DAYOFMONTH({x}) <> DAYOFMONTH(FROM_DAYS(TO_DAYS({x})))"
                return f"{x} IS NOT NULL AND (IFNULL(TO_DAYS({x}), 0) <= 365 OR {no_day})"
            case Hazard.DURATION if known.word == "time":
                return f"({x} < '00:00:00' OR {x} > '24:00:00')"
            case Hazard.MINUS_ZERO if known.word in ("float", "double"):
                return f"{x} = 0 AND CONCAT({x}) LIKE '-%'"
            case Hazard.NUL if known.charset:
                wide = known.charset in _WIDE
                return f"LOCATE(x'00', CAST({f'CONVERT({x} USING utf8mb4)' if wide else x} AS BINARY)) > 0"
            case Hazard.NO_TEXT if known.charset and known.charset not in facts.WHOLE:
                charset = names.quote(known.charset)
                # Characters beyond ASCII in a column of ascii are bytes that the server itself calls no characters.
                back = f"CAST(CONVERT(CONVERT({x} USING utf8mb4) USING {charset}) AS BINARY)"
                return f"{x} IS NOT NULL AND NOT ({back} <=> CAST({x} AS BINARY))"
            case Hazard.NO_LABEL if known.word == "enum":
                return f"{x} + 0 = 0"
            case Hazard.OUTSIDE if known.word in facts.INTEGERS:
                return f"{x} NOT BETWEEN {lack.low} AND {lack.high}"
            case Hazard.LONG if known.charset:
                return f"CHAR_LENGTH({x}) > {lack.high}"
            case Hazard.LONG if known.word in facts.BLOBS:
                return f"LENGTH({x}) > {lack.high}"
            case _:
                return None
