"""What MariaDB's and MySQL's types and defaults mean, and which of their types holds what another engine means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sensei import catalog
from sensei.catalog import types
from sensei.engines import base
from sensei.engines.mysql import facts, names

Kind = types.Kind
Verdict = types.Verdict

#: Characters of the longest varchar (of utf8mb4), and bytes of the longest varbinary.
LONGEST_VARCHAR, LONGEST_VARBINARY = 16383, 65532
#: Digits of a decimal in all and after the point, that both flavours hold.
DECIMAL_DIGITS, DECIMAL_SCALE = 65, 30
#: Characters of the longest label of an enum, and how many it takes.
LABEL_LENGTH, LABELS = 255, 3000

_INTEGERS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64}
_TEXTS = frozenset({"tinytext", "text", "mediumtext", "longtext"})
_BLOBS = frozenset({"tinyblob", "blob", "mediumblob", "longblob"})
_TIMES = {"time": Kind.TIME, "datetime": Kind.TIMESTAMP, "timestamp": Kind.TIMESTAMPTZ}
_STRING = re.compile(r"'((?:[^'\\]|\\.|'')*)'", re.DOTALL)

# -- columns that mean more than their type says, as a check of their own holds it

#: What an exact number without limits looks like in a column of text.
NUMBER = r"^(-?[0-9]+([.][0-9]+)?|NaN|-?Infinity)$"


def marker(of: types.LogicalType, native: str, column: str) -> str | None:
    """Return the check that a column needs to keep to what it means, or None where its type is enough.

    Where a column of this type and with this check is found, `logical` reads it back as the same.
    """
    quoted, word = names.quote(column), _word(native)
    if of.kind in (Kind.JSON, Kind.JSONB) and word in ("longtext", "mediumtext", "text", "varchar"):
        return f"json_valid({quoted})"
    if of.kind is Kind.BOOLEAN and word == "tinyint":
        return f"{quoted} in (0,1)"
    if of.kind is Kind.DECIMAL and word in ("longtext", "varchar"):
        return f"{quoted} regexp {names.literal(NUMBER)}"
    return None


def marked(column: str, type_word: str, clause: str) -> Kind | None:
    """Return what a check makes of a column of this type, or None where it is no marker."""
    found = _plain(clause)
    quoted = names.quote(column)
    if found == _plain(f"json_valid({quoted})") and (type_word in _TEXTS or type_word in ("varchar", "char")):
        return Kind.JSON
    if found == _plain(f"{quoted} in (0,1)") and type_word == "tinyint":
        return Kind.BOOLEAN
    pattern = names.literal(NUMBER)
    numbers = (_plain(f"{quoted} regexp {pattern}"), _plain(f"regexp_like({quoted},{pattern})"))  # as MySQL prints it
    if found in numbers and type_word in ("longtext", "varchar"):
        return Kind.DECIMAL
    return None


def _plain(clause: str) -> str:
    text = re.sub(r"_utf8mb[34]\\?'", "'", clause).replace("\\'", "'")
    text = re.sub(r"\s+", "", text).lower()
    while text.startswith("(") and text.endswith(")") and _balanced(text[1:-1]):
        text = text[1:-1]
    return text


def _balanced(text: str) -> bool:
    depth = 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if depth < 0:
            return False
    return depth == 0


def _word(native: str) -> str:
    found = re.match(r"[a-z0-9]+", native.lower())
    return found[0] if found else ""


# -- from the server


@dataclass(frozen=True)
class Declared:
    """A column's type as information_schema tells it."""

    word: str  #: DATA_TYPE
    full: str  #: COLUMN_TYPE
    length: int | None
    precision: int | None
    scale: int | None
    digits: int | None  #: of a second
    collation: str | None


def logical(of: Declared, mark: Kind | None = None) -> types.LogicalType:
    """Return what values of a type mean; `mark` is what a check makes of the column (see `marked`).

    `native` holds the type's word, and "zerofill" behind it: such numbers are printed with leading zeros.
    """
    word, full = of.word.lower(), of.full.lower()
    native = f"{word} zerofill" if "zerofill" in full else word
    if mark is Kind.DECIMAL:
        return types.LogicalType(Kind.DECIMAL, native=native, folds=False)
    if mark is not None:
        return types.LogicalType(mark, native=native, folds=False)
    if word in _INTEGERS:
        return types.LogicalType(Kind.INTEGER, bits=_INTEGERS[word], native=native, unsigned="unsigned" in full)
    if word == "year":
        return types.LogicalType(Kind.INTEGER, bits=16, native=native)
    if word == "bit":
        bits = of.precision or 1
        if bits == 1:
            return types.LogicalType(Kind.BOOLEAN, native=native)
        return types.LogicalType(Kind.INTEGER, bits=bits, native=native, unsigned=True)
    if word in ("decimal", "numeric"):
        return types.LogicalType(Kind.DECIMAL, precision=of.precision, scale=of.scale or 0, native=native)
    if word in ("float", "double"):
        return types.LogicalType(Kind.FLOAT, bits=32 if word == "float" else 64, native=native)
    if word in ("char", "varchar"):
        return types.LogicalType(Kind.TEXT, length=of.length, native=native, folds=folds(of.collation))
    if word in _TEXTS:
        return types.LogicalType(Kind.TEXT, native=native, folds=folds(of.collation))
    if word in ("enum", "set"):
        found = labels(of.full)
        longest = max(map(len, found), default=0) if word == "enum" else sum(map(len, found)) + len(found)
        return types.LogicalType(
            Kind.TEXT,
            length=max(longest, 1),
            native=native,
            # In place of characters beyond U+FFFF the server prints a question mark: then nobody knows the label.
            labels=found if word == "enum" and not any("?" in label for label in found) else (),
            folds=folds(of.collation),
        )
    if word in ("binary", "varbinary"):
        return types.LogicalType(Kind.BYTES, length=of.length, fixed=word == "binary", native=native)
    if word in _BLOBS:
        return types.LogicalType(Kind.BYTES, native=native)
    if word == "date":
        return types.LogicalType(Kind.DATE, native=native)
    if word in _TIMES:
        return types.LogicalType(_TIMES[word], precision=of.digits or 0, native=native)
    if word == "json":
        return types.LogicalType(Kind.JSONB, native=native)
    if word == "uuid":
        return types.LogicalType(Kind.UUID, native=native)
    elsewhere = Kind.BYTES if word in facts.GEOMETRIES else Kind.TEXT if word in ("inet4", "inet6") else None
    return types.LogicalType(Kind.NATIVE, native=of.full, elsewhere=elsewhere)


def labels(full: str) -> tuple[str, ...]:
    """Return the labels of an enum or a set as COLUMN_TYPE prints them."""
    return tuple(m[1].replace("''", "'") for m in re.finditer(r"'((?:[^']|'')*)'", full))


def folds(collation: str | None) -> bool:
    """Tell whether a collation takes texts for equal that differ in bytes."""
    if collation is None or collation == "binary":
        return False
    # MySQL's 0900 collations don't pad; MariaDB says "nopad". Every other one ignores trailing blanks.
    return not (collation.endswith("_nopad_bin") or collation == "utf8mb4_0900_bin")


# -- defaults

_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE)
_BITS = re.compile(r"b'([01]*)'", re.IGNORECASE)
_NOW = re.compile(r"(?:current_timestamp|now|localtime|localtimestamp)(?:\(\d?\))?", re.IGNORECASE)
_FUNCTIONS: tuple[tuple[re.Pattern[str], str, str | None], ...] = (
    (_NOW, "current_timestamp", None),
    (re.compile(r"utc_timestamp(?:\(\d?\))?", re.IGNORECASE), "current_timestamp", "utc"),
    (re.compile(r"(?:curdate|current_date)(?:\(\))?", re.IGNORECASE), "current_date", None),
    (re.compile(r"utc_date(?:\(\))?", re.IGNORECASE), "current_date", "utc"),
    (re.compile(r"(?:curtime|current_time)(?:\(\d?\))?", re.IGNORECASE), "current_time", None),
    (re.compile(r"utc_time(?:\(\d?\))?", re.IGNORECASE), "current_time", "utc"),
    (re.compile(r"uuid\(\)", re.IGNORECASE), "random_uuid", None),
)
_NEXTVAL = re.compile(r"nextval\(((?:`(?:[^`]|``)+`\.?)+)\)", re.IGNORECASE)
_UNESCAPED = {"0": "\0", "Z": "\x1a", "n": "\n", "t": "\t", "r": "\r", "b": "\b"}


def default(sql: str, of: types.LogicalType, *, expression: bool | None) -> catalog.Default:
    """Read a default as information_schema prints it.

    `expression` is None on MariaDB, which prints SQL; MySQL prints a literal's bare value, and says apart whether it
    is an expression.
    """
    if expression is False:
        if of.native.startswith("bit") and (bits := _BITS.fullmatch(sql)) is not None:
            return _literal(sql, str(int(bits[1] or "0", 2)), of)
        return _literal(names.literal(sql) if of.kind is not Kind.INTEGER else sql, sql, of)
    bare = sql.strip()
    while bare.startswith("(") and bare.endswith(")") and _balanced(bare[1:-1]):
        bare = bare[1:-1].strip()
    if bare.upper() == "NULL":
        return catalog.Default("null", sql)
    for pattern, kind, value in _FUNCTIONS:
        if pattern.fullmatch(bare):
            return catalog.Default(kind, sql if expression is None or _NOW.fullmatch(bare) else f"({sql})", value)
    if (found := _NEXTVAL.fullmatch(bare)) is not None:
        return catalog.Default("nextval", sql, ".".join(names.quoted_names(found[1])))
    if (found := _BITS.fullmatch(bare)) is not None:
        return _literal(sql, str(int(found[1] or "0", 2)), of)
    if (found := _STRING.fullmatch(bare)) is not None:
        return _literal(sql, unescape(found[1]), of)
    if _NUMBER.fullmatch(bare):
        return _literal(sql, bare, of)
    return catalog.Default("other", sql if expression is None else f"({sql})")


def unescape(inner: str) -> str:
    """Return what the inside of a quoted string means."""
    return re.sub(r"\\(.)|''", lambda m: "'" if m[1] is None else _UNESCAPED.get(m[1], m[1]), inner, flags=re.DOTALL)


def _literal(sql: str, value: str, of: types.LogicalType) -> catalog.Default:
    match of.kind:
        case Kind.BOOLEAN:
            short = {"1": "t", "0": "f"}.get(value)
            return catalog.Default("literal", sql, short) if short else catalog.Default("other", sql)
        case Kind.INTEGER if not re.fullmatch(r"-?\d+", value):
            return catalog.Default("other", sql)
        case Kind.DATE | Kind.TIMESTAMP | Kind.TIMESTAMPTZ if re.match(r"0000-|\d{4}-00|\d{4}-\d\d-00", value):
            return catalog.Default("other", sql)  # a zero date has a home only here
        case Kind.BYTES:
            return catalog.Default("other", sql)  # `of_bytes` knows it
        case Kind.TIMESTAMPTZ:
            return catalog.Default("literal", sql, value + "+00")  # the session's zone is pinned to UTC
        case Kind.NATIVE | Kind.UNSUPPORTED:
            return catalog.Default("other", sql)
        case _:
            return catalog.Default("literal", sql, value)


def of_bytes(hexed: str, of: types.LogicalType) -> catalog.Default:
    """Return the default of a column whose value the server can't print, from its bytes in hex."""
    raw = bytes.fromhex(hexed)
    if of.kind is Kind.BYTES:
        return catalog.Default("literal", f"x'{hexed.lower()}'", "\\x" + hexed.lower())
    text = raw.decode("utf-8", "replace")
    return catalog.Default("literal", names.literal(text), text)


# -- the target's types

_PLAIN = {8: "tinyint", 16: "smallint", 24: "mediumint", 32: "int", 64: "bigint"}
_CLASSES = {"integer": "bigint", "real": "double", "text": "longtext", "blob": "longblob"}
_NO_NAN = "MariaDB and MySQL have neither NaN nor infinity: rows with them go to quarantine"


def target(of: types.LogicalType, source_engine: str, facts: base.ColumnFacts | None) -> types.Mapped:
    """Choose the type for values that mean `of`."""
    match of.kind:
        case Kind.INTEGER:
            bits = next(b for b in _PLAIN if b >= (of.bits or 64))
            found = _exact(_PLAIN[bits] + (" unsigned" if of.unsigned else ""))
        case Kind.DECIMAL:
            found = _decimal(of, source_engine)
        case Kind.FLOAT:
            native = "float" if of.bits == 32 else "double"
            found = types.Mapped(native, Verdict.WIDENING, Verdict.EXACT, _NO_NAN)
        case Kind.BOOLEAN:
            found = _exact("tinyint(1)")
        case Kind.TEXT:
            found = _text(of, source_engine, facts)
        case Kind.BYTES:
            found = _bytes(of)
        case Kind.DATE:
            found = _date("date", of, source_engine)
        case Kind.TIME | Kind.TIMESTAMP | Kind.TIMESTAMPTZ:
            found = _time(of, source_engine)
        case Kind.UUID:
            found = _exact("uuid")
        case Kind.JSON | Kind.JSONB:
            back = "" if of.kind is Kind.JSON else "arrives as JSON text, and comes back as json"
            found = types.Mapped("longtext", Verdict.EXACT, Verdict.EXACT, back)
        case Kind.ANY:
            found = _any(facts)
        case _:
            found = types.Mapped("", Verdict.NONE, Verdict.NONE, _no_home(of, source_engine))
    if of.domain and found.there is Verdict.EXACT:
        return types.Mapped(
            found.native, Verdict.WIDENING, found.back, f"the domain {of.domain} and its checks are not carried"
        )
    return found


def _exact(native: str) -> types.Mapped:
    return types.Mapped(native, Verdict.EXACT, Verdict.EXACT)


def _no_home(of: types.LogicalType, source_engine: str) -> str:
    if of.kind is Kind.NATIVE:
        return f"{of.native} of {source_engine} has no counterpart in MariaDB and MySQL"
    return f"{of.native} is defined by this database or an extension, and such types are not carried"


def _decimal(of: types.LogicalType, source_engine: str) -> types.Mapped:
    scale = of.scale or 0
    if of.precision is None:
        why = "decimals of MariaDB and MySQL have a fixed scale, and this one has none"
    elif of.precision > DECIMAL_DIGITS or not 0 <= scale <= min(of.precision, DECIMAL_SCALE):
        why = f"MariaDB and MySQL have no {of}"
    else:
        native = f"decimal({of.precision},{scale})"
        if source_engine == "postgres":
            return types.Mapped(native, Verdict.WIDENING, Verdict.EXACT, _NO_NAN)
        return _exact(native)
    return types.Mapped(
        "longtext", Verdict.WIDENING, Verdict.EXACT,
        f"kept as text, digit by digit, with a check that it is a number: {why}; where a decimal is enough, name it"
        " under tables:",
    )  # fmt: skip


def _text(of: types.LogicalType, source_engine: str, facts: base.ColumnFacts | None) -> types.Mapped:
    if of.labels:
        if is_enumerable(of.labels):
            return _exact(f"enum({','.join(map(names.literal, of.labels))})")
        return types.Mapped(
            f"varchar({max(map(len, of.labels))})" if len(max(of.labels, key=len)) <= LONGEST_VARCHAR else "longtext",
            Verdict.WIDENING, Verdict.EXACT,
            "its labels can't be those of an enum of MariaDB and MySQL (too long, too many or ending in blanks)",
        )  # fmt: skip
    if of.length is None:
        return _exact("longtext")
    longest = facts.max_length if facts else None
    if longest is not None and longest > of.length:
        reason = f"values of up to {longest} characters are there, longer than {of}"
        return types.Mapped("longtext", Verdict.WIDENING, Verdict.EXACT, reason)
    if not 1 <= of.length <= LONGEST_VARCHAR:
        reason = f"MariaDB and MySQL have no varchar({of.length})"
        return types.Mapped("longtext", Verdict.WIDENING, Verdict.EXACT, reason)
    if of.fixed and source_engine == "postgres":
        reason = "arrives padded with blanks as PostgreSQL shows it; MariaDB's and MySQL's own char would cut them off"
        return types.Mapped(f"varchar({of.length})", Verdict.WIDENING, Verdict.EXACT, reason)
    return _exact(f"varchar({of.length})")


def is_enumerable(found: Iterable[str]) -> bool:
    """Tell whether labels can be those of an enum: the server cuts off trailing blanks, and knows no longer ones."""
    listed = list(found)
    return len(listed) <= LABELS and all(
        len(label) <= LABEL_LENGTH
        and not label.endswith(" ")
        and "\0" not in label
        and max(label, default="") <= "\uffff"
        for label in listed
    )


def _bytes(of: types.LogicalType) -> types.Mapped:
    if of.length is None or of.length > LONGEST_VARBINARY:
        return _exact("longblob")
    return _exact(f"binary({of.length})" if of.fixed and of.length <= 255 else f"varbinary({of.length})")


def _date(native: str, of: types.LogicalType, source_engine: str) -> types.Mapped:
    if source_engine != "postgres":
        return _exact(native)
    reason = f"rows with a {of.kind} before the year 1, after 9999 or infinite go to quarantine"
    return types.Mapped(native, Verdict.WIDENING, Verdict.EXACT, reason)


def _time(of: types.LogicalType, source_engine: str) -> types.Mapped:
    word = {Kind.TIME: "time", Kind.TIMESTAMP: "datetime", Kind.TIMESTAMPTZ: "timestamp"}[of.kind]
    digits = 6 if of.precision is None else min(of.precision, 6)
    native = f"{word}({digits})" if digits else word
    if of.precision is not None and of.precision > 6:
        return types.Mapped(native, Verdict.LOSSY, Verdict.EXACT, f"{of.precision} digits of a second become 6")
    if of.kind is Kind.TIME:
        reason = "MariaDB's and MySQL's time also takes durations, up to 838 hours"
        return types.Mapped(native, Verdict.WIDENING, Verdict.EXACT, reason)
    if of.kind is Kind.TIMESTAMPTZ:
        reason = "rows with an instant before 1970-01-01 00:00:01 or after 2038-01-19 03:14:07 UTC go to quarantine"
        return types.Mapped(native, Verdict.WIDENING, Verdict.EXACT, reason)
    return _date(native, of, source_engine)


def _any(facts: base.ColumnFacts | None) -> types.Mapped:
    classes = {
        name.lower(): n for name, n in ((facts.classes or {}) if facts else {}).items() if n and name.lower() != "null"
    }
    if facts is not None and not classes:
        return _exact("longtext")
    if len(classes) == 1:
        return _exact(_CLASSES[next(iter(classes))])
    found = ", ".join(f"{n} {name}" for name, n in sorted(classes.items())) or "not scanned"
    return types.Mapped(
        "longtext", Verdict.LOSSY, Verdict.LOSSY, f"the column has no type ({found}): all of it becomes text"
    )
