"""Carries check expressions between dialects: only those whose meaning can't differ, all others are listed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_NUMBERS = ("INT", "BIGINT", "SMALLINT", "DECIMAL", "DOUBLE", "FLOAT")
_TEXTS = ("TEXT", "VARCHAR")


@dataclass(frozen=True)
class CheckColumn:
    """A column that a check may name: its name on the target and what its values are ("number" or "text")."""

    target: str
    nature: str


_STRING = re.compile(r"[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'", re.DOTALL)
_IDENT = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
# Every identifier is eaten whole, alone or with its schema: a dot within quotes is a part of the name.
_QUALIFIED = re.compile(rf"({_IDENT})(?:\.({_IDENT}|[-+*/<>=~!@#%^&|`?]+))?")


def qualified_names(sql: str) -> list[str]:
    """Return what an expression names with its schema, as `schema.name` without quotes; the system's left out.

    For expressions as PostgreSQL prints them while nothing is on the search path: all but the system's own functions,
    types, operators and collations then bear their schema, and columns bear no table.
    """
    found = []
    for schema, name in _QUALIFIED.findall(_STRING.sub("''", sql)):
        schema, name = (n[1:-1].replace('""', '"') if n.startswith('"') else n for n in (schema, name))
        if name and schema not in ("pg_catalog", "information_schema"):
            found.append(f"{schema}.{name}")
    return found


@dataclass(frozen=True)
class Dialect:
    """How the target writes names and strings."""

    quote: Callable[[str], str]
    literal: Callable[[str], str]


def translate(sql: str, source: str, target: Dialect, columns: Mapping[str, CheckColumn]) -> str | None:
    """Return a check expression in the target's dialect, or None where its meaning might differ there.

    The white list is short on purpose: AND, OR, NOT, IS NULL, and comparisons, IN and BETWEEN of numbers, with
    `+ - *`; texts only for equality, since two servers sort them differently. Division (integer in one engine,
    exact in another), LIKE (ignores case in SQLite), functions, dates and regular expressions are not carried.
    Columns that `columns` does not have are not carried either.
    """
    import sqlglot
    from sqlglot import errors as glot_errors
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(sql, dialect=source)
    except glot_errors.SqlglotError:
        return None
    return _Writer(exp, columns, target).condition(tree)


class _Writer:
    """Writes a tree again in words that both dialects share; None for anything else."""

    def __init__(self, exp: Any, columns: Mapping[str, CheckColumn], target: Dialect) -> None:
        self.exp, self.target = exp, target
        self.columns = columns
        self.folded = {name.lower(): column for name, column in columns.items()}
        self.compare = {exp.EQ: "=", exp.NEQ: "<>", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<="}
        self.arithmetic = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}

    def _known(self, node: Any) -> bool:
        """Tell whether a node says no more than is read here: a parser's new flag must not be passed over."""
        known = {"this", "expression", "expressions", "low", "high", "to"}
        if isinstance(node, self.exp.Is):
            known.add("negate")
        return all(not value or key in known for key, value in node.args.items())

    def condition(self, node: Any) -> str | None:
        exp = self.exp
        kind = type(node)
        if not self._known(node):
            return None
        if kind is exp.Paren:
            return self._wrap(self.condition(node.this))
        if kind in (exp.And, exp.Or):
            first, second = self.condition(node.this), self.condition(node.expression)
            word = "AND" if kind is exp.And else "OR"
            return f"({first} {word} {second})" if first and second else None
        if kind is exp.Not:
            inner = self.condition(node.this)
            return f"NOT ({inner})" if inner else None
        if kind is exp.Is and isinstance(node.expression, exp.Null):
            operand = self._column(node.this)
            word = "IS NOT NULL" if node.args.get("negate") else "IS NULL"
            return f"{operand[0]} {word}" if operand else None
        if kind is exp.In and node.expressions and not node.args.get("query"):
            return self._in(node.this, node.expressions)
        if kind is exp.EQ and isinstance(node.expression, exp.Any):
            array = self._bare(node.expression.this)
            return self._in(node.this, array.expressions) if isinstance(array, exp.Array) else None
        if kind is exp.Between:
            parts = [self._value(n) for n in (node.this, node.args["low"], node.args["high"])]
            if all(p and p[1] == "number" for p in parts):
                return f"{parts[0][0]} BETWEEN {parts[1][0]} AND {parts[2][0]}"  # type: ignore[index]
            return None
        if kind in self.compare:
            left, right = self._value(node.this), self._value(node.expression)
            if not left or not right or left[1] != right[1]:
                return None
            if left[1] == "text" and kind not in (exp.EQ, exp.NEQ):
                return None
            return f"{left[0]} {self.compare[kind]} {right[0]}"
        return None

    def _wrap(self, text: str | None) -> str | None:
        if text is None or (text.startswith("(") and text.endswith(")")):
            return text
        return f"({text})"

    def _in(self, node: Any, items: list[Any]) -> str | None:
        values = [self._value(n) for n in (node, *items)]
        if len(values) < 2 or not all(v and values[0] and v[1] == values[0][1] for v in values):
            return None
        first, *rest = [v[0] for v in values if v]
        return f"{first} IN ({', '.join(rest)})"

    def _bare(self, node: Any) -> Any:
        while isinstance(node, self.exp.Paren | self.exp.Cast):
            node = node.this
        return node

    def _column(self, node: Any) -> tuple[str, str] | None:
        node = self._bare(node) if not isinstance(node, self.exp.Column) else node
        if not isinstance(node, self.exp.Column) or node.args.get("table"):
            return None
        column = self.columns.get(node.name)
        if column is None and not node.this.quoted:
            column = self.folded.get(node.name.lower())
        if column is None:
            return None
        return self.target.quote(column.target), column.nature

    def _value(self, node: Any) -> tuple[str, str] | None:
        """Return (SQL, "number" or "text") of a scalar."""
        exp = self.exp
        kind = type(node)
        if kind not in (exp.Column, exp.Literal) and not self._known(node):
            return None
        if kind is exp.Paren:
            inner = self._value(node.this)
            return (f"({inner[0]})", inner[1]) if inner else None
        if kind is exp.Cast:
            to = node.to.this.name
            inner = self._value(node.this)
            bare = self._bare(node.this)
            if inner is None:
                return None
            if to in _TEXTS and inner[1] == "text":
                return inner
            if to in _NUMBERS and inner[1] == "number" and isinstance(bare, exp.Literal | exp.Neg):
                return inner
            if to in _NUMBERS and isinstance(bare, exp.Literal) and _is_number(bare.name):
                return f"({bare.name})", "number"
            return None
        if kind is exp.Column:
            return self._column(node)
        if kind is exp.Literal:
            if node.is_string:
                return self.target.literal(node.name), "text"
            return node.name, "number"
        if kind is exp.Neg:
            inner = self._value(node.this)
            return (f"(-{inner[0]})", "number") if inner and inner[1] == "number" else None
        if kind in self.arithmetic:
            left, right = self._value(node.this), self._value(node.expression)
            if left and right and left[1] == right[1] == "number":
                return f"({left[0]} {self.arithmetic[kind]} {right[0]})", "number"
        return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.strip("+-.eE0123456789") == ""
