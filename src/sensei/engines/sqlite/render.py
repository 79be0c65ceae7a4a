"""SQL that renders one column as canonical text inside SQLite, and what it does with values that do not conform."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import apsw

from sensei.catalog import rowtext
from sensei.catalog.types import Kind, LogicalType
from sensei.engines.sqlite import declared, names

#: Longest value, in characters, that is shown whole where it stands for itself in the quarantine.
SHOWN = 10_000
#: Splits fields inside SQLite; in a text it makes the field count wrong, which every target rejects, too.
FIELD = "\x1f"

#: Kinds whose targets would take the words above for a value.
_TAKES_ANY_TEXT = frozenset({Kind.TEXT, Kind.BYTES, Kind.ANY, Kind.NATIVE})
#: Up to here a double holds every decimal, and SQLite's format() shows it digit by digit.
EXACT_DIGITS = 15

_HEX = "[0-9A-Fa-f]"
_UUID_GLOB = "-".join(_HEX * n for n in (8, 4, 4, 4, 12))


def text_of(value: Any, type: LogicalType) -> str | None:
    """Return a value's canonical text, or text that makes its row be rejected: never a changed value."""
    if value is None:
        return None
    try:
        text = rowtext.format_value(value, type)
        if type.kind in (Kind.JSON, Kind.JSONB):
            json.loads(text, parse_constant=_no_json)
        elif type.kind is Kind.DECIMAL and text == "-0":
            text = "0"
        return text
    except ValueError:
        return misfit(value, type)


def _no_json(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def misfit(value: Any, type: LogicalType) -> str:
    """Return the text that stands for a value that does not conform."""
    shown = value.hex() if isinstance(value, bytes) else str(value)
    if len(shown) > SHOWN:
        shown = f"{shown[:SHOWN]}… ({len(shown)} characters in all)"
    said = f"{rowtext.MISFIT} {_CLASS.get(value.__class__, 'text')} {shown}"
    return said + FIELD if type.kind in _TAKES_ANY_TEXT else said


_Function = Callable[..., Any]

_CLASS = {int: "integer", float: "real", str: "text", bytes: "blob"}


class Renderer:
    """Builds expressions for one connection, and registers there the Python functions that they fall back on."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._registered: set[str] = set()

    def expression(self, column: str, type: LogicalType, native: str, *, guard: bool, nullable: bool, null: str) -> str:
        """Return SQL for one column: canonical text, `null` (an SQL literal) for NULL.

        With `guard` every value is checked. Without it the caller has a scan that found all of them to conform;
        what conforms in a spelling of its own (``T`` between date and time) is still brought into canonical form.
        """
        x = names.quote(column)
        sql = self._expression(x, type, native, guard)
        return f"CASE WHEN {x} IS NULL THEN {null} ELSE {sql} END" if nullable else sql

    def conforms(self, column: str, type: LogicalType, native: str) -> str:
        """Return SQL that is true for a value (not NULL) that conforms."""
        x = names.quote(column)
        cheap = self._fits(x, type, native)
        if cheap == "1":
            return "1"
        if _is_short(type, native):
            return cheap
        rest = self._call(_conforms, type, x)
        return f"CASE WHEN {cheap} THEN 1 ELSE {rest} END" if cheap else rest

    def _call(self, what: Callable[[LogicalType], _Function], type: LogicalType, x: str) -> str:
        """Return SQL that calls a Python function on a value, registered here at its first use.

        Text goes in as bytes: what is not valid UTF-8 could not become an argument.
        """
        name = f"sensei{what.__name__}_{type.kind}_{type.bits or 0}_{type.precision or 0}_{type.scale or 0}"
        if name not in self._registered:
            self._db.create_scalar_function(name, what(type), 2, deterministic=True)
            self._registered.add(name)
        return f"{name}(CASE typeof({x}) WHEN 'text' THEN CAST({x} AS BLOB) ELSE {x} END, typeof({x}) = 'text')"

    def _fits(self, x: str, type: LogicalType, native: str) -> str:
        """Return SQL that is true only for values that conform and are canonical; "" where there is none."""
        match type.kind:
            case Kind.INTEGER:
                within, held = rowtext.integers(type), f"typeof({x}) = 'integer'"
                if within[0] == -1 << 63:
                    return held
                # What is beyond SQLite's own integers is there as text, if at all.
                return f"{held} AND {x} BETWEEN {within[0]} AND {min(within[-1], (1 << 63) - 1)}"
            case Kind.DECIMAL if type.precision is not None and _is_short(type, native):
                # round() of what is no number is never equal to it, so this looks at the class as well.
                top = 10 ** (type.precision - (type.scale or 0))
                return f"round({x}, {type.scale or 0}) = {x} AND abs({x}) < {top}"
            case Kind.DECIMAL if type.precision is None:
                return f"typeof({x}) = 'integer'"
            case Kind.FLOAT if type.bits != 32:
                return f"typeof({x}) = 'real'"
            case Kind.BOOLEAN:
                return f"typeof({x}) = 'integer' AND {x} IN (0, 1)"
            case Kind.TEXT:
                return f"typeof({x}) = 'text'"
            case Kind.BYTES:
                return f"typeof({x}) = 'blob'"
            # What SQLite's own functions give back unchanged is in ISO form; they also take 'now', but change it.
            case Kind.DATE:
                return f"date({x}) = {x} AND {x} >= '0001'"
            case Kind.TIME:
                return f"time({x}) = {x}"
            case Kind.TIMESTAMP:
                return f"datetime({x}) = {x} AND {x} >= '0001'"
            case Kind.TIMESTAMPTZ:
                naive = f"substr({x}, 1, 19)"
                return f"datetime({naive}) || '+00' = {x} AND {x} >= '0001'"
            case Kind.UUID:
                return f"typeof({x}) = 'text' AND {x} GLOB '{_UUID_GLOB}'"
            case Kind.JSON | Kind.JSONB:
                return f"(typeof({x}) = 'text' AND json_valid({x})) OR (typeof({x}) = 'blob' AND json_valid({x}, 8))"
            case Kind.ANY | Kind.NATIVE:
                return "1"
            case _:
                return ""

    def _expression(self, x: str, type: LogicalType, native: str, guard: bool) -> str:
        # format() takes any text for a zero, so where it renders, a text is a misfit whatever it says.
        other = self._call(_number if _is_short(type, native) else _text, type, x)
        fits = self._fits(x, type, native) if guard else ""
        match type.kind:
            case Kind.INTEGER:
                return f"CASE WHEN {fits} THEN {x} ELSE {other} END" if guard else x
            case Kind.DECIMAL:
                return self._decimal(x, type, native, fits, other)
            case Kind.FLOAT if type.bits != 32:
                return _plain_float(x, other)
            case Kind.FLOAT:
                return other
            case Kind.BOOLEAN:
                return f"CASE {x} WHEN 1 THEN 't' WHEN 0 THEN 'f' ELSE {other} END"
            case Kind.TEXT:
                return f"CASE WHEN {fits} THEN {x} ELSE {other} END" if guard else x
            case Kind.BYTES:
                shown = f"'\\x' || lower(hex({x}))"
                return f"CASE WHEN {fits} THEN {shown} ELSE {other} END" if guard else shown
            case Kind.DATE:
                return f"CASE WHEN {fits} THEN {x} ELSE {other} END" if guard else x
            case Kind.TIME:
                return f"CASE WHEN {fits or f'length({x}) = 8'} THEN {x} ELSE {other} END"
            case Kind.TIMESTAMP:
                short = f"length({x}) = 19 OR (length({x}) BETWEEN 21 AND 26 AND substr({x}, -1) BETWEEN '1' AND '9')"
                return f"CASE WHEN {fits or f'substr({x}, 11, 1) = char(32) AND ({short})'} THEN {x} ELSE {other} END"
            case Kind.TIMESTAMPTZ:
                fraction = f"length({x}) BETWEEN 24 AND 29 AND substr({x}, -4, 1) BETWEEN '1' AND '9'"
                short = f"length({x}) = 22 OR ({fraction})"
                plain = f"substr({x}, 11, 1) = char(32) AND substr({x}, -3) = '+00' AND ({short})"
                return f"CASE WHEN {fits or plain} THEN {x} ELSE {other} END"
            case Kind.UUID:
                plain = f"typeof({x}) = 'text' AND length({x}) = 36"
                return f"CASE WHEN {fits or plain} THEN lower({x}) ELSE {other} END"
            case Kind.JSON | Kind.JSONB:
                text, blob = ("json_valid({x})", "json_valid({x}, 8)") if guard else ("1", "1")
                return (
                    f"CASE WHEN typeof({x}) = 'text' AND {text.format(x=x)} THEN {x}"
                    f" WHEN typeof({x}) = 'blob' AND {blob.format(x=x)} THEN json({x}) ELSE {other} END"
                )
            case _:
                return (
                    f"CASE typeof({x}) WHEN 'blob' THEN '\\x' || lower(hex({x})) WHEN 'real' THEN {other} ELSE {x} END"
                )

    def _decimal(self, x: str, type: LogicalType, native: str, fits: str, other: str) -> str:
        scale = type.scale or 0
        if type.precision is None:
            return f"CASE typeof({x}) WHEN 'integer' THEN {x} ELSE {other} END"
        if declared.affinity(native) == "text":
            if fits or scale == 0:
                return other
            # Most values of our own exact columns are canonical already: digits, a point, `scale` digits.
            plain = f"typeof({x}) = 'text' AND substr({x}, {-scale - 1}, 1) = '.' AND {x} NOT GLOB '*[^-0-9.]*'"
            starts = f"{x} GLOB '[1-9]*' OR {x} GLOB '-[1-9]*' OR {x} GLOB '0.*'"
            return f"CASE WHEN {plain} AND ({starts}) THEN {x} ELSE {other} END"
        if _is_short(type, native):
            shown = f"format('%.{scale}f', {x})"
            return f"CASE WHEN {fits} THEN {shown} ELSE {other} END" if fits else shown
        point = f" || '.{'0' * scale}'" if scale else ""
        within = f" AND {x} > -1{'0' * (type.precision - scale)} AND {x} < 1{'0' * (type.precision - scale)}"
        within = within if type.precision - scale < 19 else ""
        return f"CASE WHEN typeof({x}) = 'integer'{within} THEN {x}{point} ELSE {other} END"


def _plain_float(x: str, other: str) -> str:
    # Up to 15 digits SQLite's text of a REAL is the shortest one; its tail ".0" goes with the integer.
    whole = f"{x} = CAST({x} AS INTEGER) AND ({x} BETWEEN 1 AND 999999999999999 OR {x} BETWEEN -999999999999999 AND -1)"
    short = f"length({x}) < 17 AND ({x} BETWEEN 1e-4 AND 1e15 OR {x} BETWEEN -1e15 AND -1e-4)"
    return (
        f"CASE WHEN typeof({x}) <> 'real' THEN {other} WHEN {whole} THEN CAST({x} AS INTEGER)"
        f" WHEN {short} THEN {x} ELSE {other} END"
    )


def _text(type: LogicalType) -> _Function:
    return lambda value, is_text: _decoded(value, is_text, type)


def _number(type: LogicalType) -> _Function:
    def render(value: Any, is_text: Any) -> str | None:
        return misfit(value.decode("utf-8", "backslashreplace"), type) if is_text else text_of(value, type)

    return render


def _decoded(value: Any, is_text: Any, type: LogicalType) -> str | None:
    if not is_text:
        return text_of(value, type)
    try:
        return text_of(value.decode(), type)
    except UnicodeDecodeError:
        return misfit(value, type)


def _conforms(type: LogicalType) -> _Function:
    def tell(value: Any, is_text: Any) -> int:
        text = _decoded(value, is_text, type)
        return int(text is None or not text.startswith(rowtext.MISFIT))

    return tell


def _is_short(type: LogicalType, native: str) -> bool:
    """Tell whether a column holds its exact numbers as integers and doubles, without loss."""
    short = type.kind is Kind.DECIMAL and type.precision is not None and type.precision <= EXACT_DIGITS
    return short and declared.affinity(native) != "text"
