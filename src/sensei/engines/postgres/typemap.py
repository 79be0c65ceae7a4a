"""What PostgreSQL's types and defaults mean, and which of its types holds what another engine means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sensei import catalog
from sensei.catalog import rowtext, types
from sensei.engines import base

Kind = types.Kind
Verdict = types.Verdict


@dataclass(frozen=True)
class TypeRow:
    """One row of pg_type, as far as it is needed."""

    oid: int
    name: str
    native: str  #: as format_type prints it, without modifiers
    builtin: bool  #: in pg_catalog and of no extension
    kind: str  #: pg_type.typtype
    base: int  #: a domain's base type, 0 otherwise
    base_modifier: int
    base_native: str  #: the base type with its modifier
    not_null: bool
    default: str | None  #: a domain's default expression
    labels: tuple[str, ...] = ()  #: an enum's, in their order


_PLAIN: dict[str, types.LogicalType] = {
    "int2": types.LogicalType(Kind.INTEGER, bits=16),
    "int4": types.LogicalType(Kind.INTEGER, bits=32),
    "int8": types.LogicalType(Kind.INTEGER, bits=64),
    "float4": types.LogicalType(Kind.FLOAT, bits=32),
    "float8": types.LogicalType(Kind.FLOAT, bits=64),
    "bool": types.LogicalType(Kind.BOOLEAN),
    "text": types.LogicalType(Kind.TEXT),
    # `native` lets these keep their type on the way to another PostgreSQL, as it does for bare varchar and bpchar.
    "name": types.LogicalType(Kind.TEXT, native="name"),
    "char": types.LogicalType(Kind.TEXT, native='"char"'),
    "bytea": types.LogicalType(Kind.BYTES),
    "date": types.LogicalType(Kind.DATE),
    "uuid": types.LogicalType(Kind.UUID),
    "json": types.LogicalType(Kind.JSON),
    "jsonb": types.LogicalType(Kind.JSONB),
}
_TIMES = {"time": Kind.TIME, "timestamp": Kind.TIMESTAMP, "timestamptz": Kind.TIMESTAMPTZ}


def logical(known: dict[int, TypeRow], oid: int, modifier: int, native: str, domain: str = "") -> types.LogicalType:
    """Return what values of a type mean; `native` is its text with modifiers."""
    row = known.get(oid)
    if row is None:
        return types.LogicalType(Kind.UNSUPPORTED, native=native, domain=domain, elsewhere=Kind.TEXT)
    if row.kind == "d":
        return logical(known, row.base, row.base_modifier, row.base_native, domain or row.native)
    if row.kind == "e":
        longest = max(map(len, row.labels), default=1)
        return types.LogicalType(Kind.TEXT, length=longest, domain=domain, labels=row.labels)
    # The reg… types travel as numbers in binary form, and those name other objects in another database.
    if not row.builtin or row.kind not in "brm" or row.name.lstrip("_").startswith("reg"):
        return types.LogicalType(Kind.UNSUPPORTED, native=native, domain=domain, elsewhere=Kind.TEXT)
    found = _builtin(row.name, modifier, native)
    return types.LogicalType(**{**found.__dict__, "domain": domain}) if domain else found


def _builtin(name: str, modifier: int, native: str) -> types.LogicalType:
    if name in _PLAIN:
        return _PLAIN[name]
    if name == "numeric":
        if modifier < 0:
            return types.LogicalType(Kind.DECIMAL)
        # The scale is a signed number of 11 bits since version 15, and reads the same before.
        scale = (((modifier - 4) & 0x7FF) ^ 1024) - 1024
        return types.LogicalType(Kind.DECIMAL, precision=(modifier - 4) >> 16 & 0xFFFF, scale=scale)
    if name in _TIMES:
        return types.LogicalType(_TIMES[name], precision=None if modifier < 0 else modifier)
    if name == "varchar":
        if modifier < 0:
            return types.LogicalType(Kind.TEXT, native="character varying")
        return types.LogicalType(Kind.TEXT, length=modifier - 4)
    if name == "bpchar":
        if modifier < 0:
            return types.LogicalType(Kind.TEXT, native="bpchar")
        return types.LogicalType(Kind.TEXT, length=modifier - 4, fixed=True)
    return types.LogicalType(Kind.NATIVE, native=native, elsewhere=Kind.TEXT)


def not_null(known: dict[int, TypeRow], oid: int) -> bool:
    """Tell whether a domain, or one that it is built on, refuses NULL."""
    row = known.get(oid)
    return row is not None and row.kind == "d" and (row.not_null or not_null(known, row.base))


def domain_default(known: dict[int, TypeRow], oid: int) -> str | None:
    """Return the default that a column without one has from its domain."""
    row = known.get(oid)
    if row is None or row.kind != "d":
        return None
    return row.default if row.default is not None else domain_default(known, row.base)


# -- defaults

_CAST = r"(?:::[\w .\"\[\]]+(?:\(\d+(?:,\s*-?\d+)?\))?(?: (?:with|without) time zone)?(?:\[\])*)*"
_STRING = re.compile(rf"'((?:[^']|'')*)'{_CAST}")
_NUMBER = re.compile(rf"\(?(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\)?{_CAST}", re.IGNORECASE)
_NULL = re.compile(rf"NULL{_CAST}", re.IGNORECASE)
_NEXTVAL = re.compile(r"(?:pg_catalog\.)?nextval\('((?:[^']|'')*)'::(?:pg_catalog\.)?regclass\)")
_NOW = re.compile(rf"(?:(?:now|transaction_timestamp)\(\)|CURRENT_TIMESTAMP|LOCALTIMESTAMP){_CAST}", re.IGNORECASE)
_UTC = re.compile(
    rf"\(*(?:now\(\)|CURRENT_TIMESTAMP) AT TIME ZONE 'UTC'(?:::text)?\)*(?P<cast>{_CAST})\)*", re.IGNORECASE
)
_UUID = re.compile(r"(?:[\w\"]+\.)?(?:gen_random_uuid|uuid_generate_v4)\(\)(?:::text)?", re.IGNORECASE)
_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')


def default(sql: str, of: types.LogicalType) -> catalog.Default:
    """Read a default expression as pg_get_expr prints it."""
    if _NULL.fullmatch(sql):
        return catalog.Default("null", sql)
    if sql.lower() in ("true", "false"):
        return catalog.Default("literal", sql, sql[0].lower())
    if (found := _NEXTVAL.fullmatch(sql)) is not None:
        parts = [m[1].replace('""', '"') if m[1] is not None else m[2] for m in _PART.finditer(_text(found[1]))]
        return catalog.Default("nextval", sql, ".".join(parts))
    if (found := _STRING.fullmatch(sql)) is not None:
        # 'now' and the like are settled when a table is made, and are literals of their type by then.
        return _literal(sql, _text(found[1]), of)
    if (found := _NUMBER.fullmatch(sql)) is not None:
        return _literal(sql, found[1], of)
    if _NOW.fullmatch(sql):
        return catalog.Default("current_timestamp", sql)
    if re.fullmatch(rf"CURRENT_DATE{_CAST}", sql, re.IGNORECASE):
        return catalog.Default("current_date", sql)
    if re.fullmatch(rf"LOCALTIME{_CAST}", sql, re.IGNORECASE):
        return catalog.Default("current_time", sql)
    if (found := _UTC.fullmatch(sql)) is not None:
        cast = found["cast"].lower()
        part = "date" if cast == "::date" else "time" if cast.startswith("::time without") else "timestamp"
        return catalog.Default(f"current_{part}", sql, "utc")
    if _UUID.fullmatch(sql):
        return catalog.Default("random_uuid", sql)
    return catalog.Default("other", sql)


def _text(quoted: str) -> str:
    return quoted.replace("''", "'")


def _literal(sql: str, value: str, of: types.LogicalType) -> catalog.Default:
    """Return a literal, unless its cast could have changed it: then only PostgreSQL knows its value."""
    if of.kind is Kind.INTEGER and not re.fullmatch(r"-?\d+", value):
        return catalog.Default("other", sql)
    if of.kind is Kind.BOOLEAN:
        short = {"t": "t", "true": "t", "f": "f", "false": "f"}.get(value.lower())
        return catalog.Default("literal", sql, short) if short else catalog.Default("other", sql)
    if of.kind not in types.EVERYDAY:
        return catalog.Default("other", sql)
    return catalog.Default("literal", sql, value)


# -- the target's types

_LONGEST_VARCHAR = 10485760
_CLASSES = {"integer": "bigint", "real": "double precision", "text": "text", "blob": "bytea"}
_INTEGERS = (("smallint", 16), ("integer", 32), ("bigint", 64))
_SIMPLE = {
    Kind.BOOLEAN: "boolean",
    Kind.BYTES: "bytea",
    Kind.DATE: "date",
    Kind.UUID: "uuid",
    Kind.JSON: "json",
    Kind.JSONB: "jsonb",
}


def target(of: types.LogicalType, source_engine: str, facts: base.ColumnFacts | None) -> types.Mapped:
    """Choose the type for values that mean `of`."""
    if of.kind in (Kind.NATIVE, Kind.UNSUPPORTED):
        found = _native(of, source_engine)
    elif of.kind is Kind.TEXT:
        found = _of_text(of, source_engine, facts)
    elif of.kind is Kind.ANY:
        found = _any(facts)
    elif of.kind is Kind.DECIMAL:
        found = _decimal(of)
    elif of.kind in (Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMPTZ):
        found = _time(of, source_engine)
    elif of.kind is Kind.INTEGER:
        found = _integer(of, source_engine, facts)
    elif of.kind is Kind.BYTES and of.length is not None:
        reason = f"PostgreSQL does not keep bytea to {of.length} bytes"
        found = types.Mapped("bytea", Verdict.WIDENING, Verdict.EXACT, reason)
    else:
        found = _exact(_fixed(of))
    if of.domain and found.there is Verdict.EXACT:
        return types.Mapped(
            found.native, Verdict.WIDENING, found.back, f"the domain {of.domain} and its checks are not carried"
        )
    return found


def _exact(native: str) -> types.Mapped:
    return types.Mapped(native, Verdict.EXACT, Verdict.EXACT)


def _integer(of: types.LogicalType, source_engine: str, facts: base.ColumnFacts | None) -> types.Mapped:
    """Choose the smallest type that holds every value; `facts.highest` may promise that no larger ones are there."""
    held = rowtext.integers(of)
    native = next((name for name, bits in _INTEGERS if held[-1] < 1 << (bits - 1)), None)
    if native is None and facts is not None and facts.highest is not None and facts.highest < 1 << 63:
        reason = f"numbered up to {facts.highest} so far; PostgreSQL's bigint ends at {(1 << 63) - 1}"
        return types.Mapped("bigint", Verdict.WIDENING, Verdict.EXACT, reason)
    if native is None:
        reason = "numbers of 64 bits without a sign are beyond PostgreSQL's bigint"
        return types.Mapped("numeric(20,0)", Verdict.WIDENING, Verdict.EXACT, reason)
    if of.native == "year":
        return types.Mapped(
            native, Verdict.WIDENING, Verdict.EXACT, f"PostgreSQL's {native} takes any number as a year"
        )
    if of.unsigned:
        reason = f"PostgreSQL's {native} also takes numbers below 0 and above {held[-1]}"
        return types.Mapped(native, Verdict.WIDENING, Verdict.EXACT, reason)
    if (of.bits or 64) not in (16, 32, 64):
        reason = f"PostgreSQL's {native} also takes numbers beyond {of}"
        return types.Mapped(native, Verdict.WIDENING, Verdict.EXACT, reason)
    return _exact(native)


def _fixed(of: types.LogicalType) -> str:
    if of.kind is Kind.FLOAT:
        return "real" if of.bits == 32 else "double precision"
    return _SIMPLE[of.kind]


def _native(of: types.LogicalType, source_engine: str) -> types.Mapped:
    if of.kind is Kind.NATIVE and source_engine == "postgres":
        return _exact(of.native)
    reason = (
        f"{of.native} of {source_engine} has no counterpart in PostgreSQL"
        if of.kind is Kind.NATIVE
        else f"{of.native} is defined by this database or an extension, and such types are not carried"
    )
    return types.Mapped("", Verdict.NONE, Verdict.NONE, reason)


def _of_text(of: types.LogicalType, source_engine: str, facts: base.ColumnFacts | None) -> types.Mapped:
    same = source_engine == "postgres"
    if of.labels:
        # Their order is lost with the enum: text sorts by its letters.
        reason = f"an enum of {len(of.labels)} labels arrives as text with a check; it sorts by letters, not by label"
        return types.Mapped("text", Verdict.WIDENING, Verdict.EXACT, reason)
    if of.native and same:
        return _exact(of.native)
    if of.length is None:
        return _exact("text")
    longest = facts.max_length if facts else None
    if longest is not None and longest > of.length:
        reason = f"values of up to {longest} characters are there, longer than {of}"
        return types.Mapped("text", Verdict.WIDENING, Verdict.EXACT, reason)
    if not 1 <= of.length <= _LONGEST_VARCHAR:
        return types.Mapped("text", Verdict.WIDENING, Verdict.EXACT, f"PostgreSQL has no varchar({of.length})")
    # Only PostgreSQL's own char(n) comes padded; padding another engine's values would change them.
    return _exact(f"{'character' if of.fixed and same else 'character varying'}({of.length})")


def _any(facts: base.ColumnFacts | None) -> types.Mapped:
    classes = {
        name.lower(): n for name, n in ((facts.classes or {}) if facts else {}).items() if n and name.lower() != "null"
    }
    if facts is not None and not classes:
        return _exact("text")
    if len(classes) == 1:
        return _exact(_CLASSES[next(iter(classes))])
    found = ", ".join(f"{n} {name}" for name, n in sorted(classes.items())) or "not scanned"
    return types.Mapped(
        "text", Verdict.LOSSY, Verdict.LOSSY, f"the column has no type ({found}): all of it becomes text"
    )


def _decimal(of: types.LogicalType) -> types.Mapped:
    if of.precision is None:
        return _exact("numeric")
    if not 1 <= of.precision <= 1000 or not -1000 <= (of.scale or 0) <= 1000:
        return types.Mapped("numeric", Verdict.WIDENING, Verdict.EXACT, f"PostgreSQL has no {of}")
    return _exact(f"numeric({of.precision},{of.scale or 0})")


def _time(of: types.LogicalType, source_engine: str) -> types.Mapped:
    word, zone = {
        Kind.TIME: ("time", ""),
        Kind.TIMESTAMP: ("timestamp", ""),
        Kind.TIMESTAMPTZ: ("timestamp", " with time zone"),
    }[of.kind]
    if of.precision is None:
        return _exact(word + (zone or " without time zone"))
    if of.precision > 6:
        return types.Mapped(
            word + (zone or " without time zone"),
            Verdict.LOSSY,
            Verdict.EXACT,
            f"{of.precision} digits of a second become 6",
        )
    native = f"{word}({of.precision})" + (zone or " without time zone")
    if of.kind is Kind.TIME and source_engine == "mysql":
        reason = "a duration there: rows with one below 00:00:00 or above 24:00:00 go to quarantine"
        return types.Mapped(native, Verdict.WIDENING, Verdict.EXACT, reason)
    return _exact(native)
