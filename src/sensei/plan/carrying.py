"""Carries expressions over one row (checks, conditions, computed columns, defaults) from one dialect to another.

The parser writes each in the target's words; whether it still means the same is then tried on both servers, on rows
that are there and on values at which servers are known to differ. Only words that a server takes in the place where
they are to stand, and that give the same answer whenever they are asked, come so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sensei import catalog, errors, queries
from sensei.catalog import types
from sensei.engines import weighing
from sensei.validation import asked, scope

if TYPE_CHECKING:  # the mapper calls this with itself
    from sensei.plan import mapping

Kind = types.Kind


class Use(StrEnum):
    """Where an expression stands, and so what of its answer counts."""

    CHECK = "check"  #: whether it is false
    CONDITION = "condition"  #: whether it is true
    VALUE = "value"  #: what a column holds of it, always
    DEFAULT = "default"  #: what a column holds of it where a row says nothing
    INDEX = "index"  #: what it gives


@dataclass(frozen=True)
class Question:
    """One expression in the words of both sides."""

    use: Use
    table: catalog.Table  #: the source's, as the migration sees it
    here: str
    there: str
    columns: tuple[tuple[catalog.Column, catalog.Column], ...]  #: those that it names, on the source and on the target
    words: tuple[str, ...] = ()  #: literals in it, around which values are tried
    result: tuple[catalog.Column, catalog.Column] | None = None  #: of VALUE and DEFAULT: the column that holds it


@dataclass(frozen=True)
class Judgement:
    """What both servers said of it."""

    tried: int = 0  #: rows of which both gave the same answer
    against: str = ""  #: in what they differ; "": in nothing that was found


#: Tries a question on both servers.
Judge = Callable[[Question], Judgement]


@dataclass(frozen=True)
class Carried:
    """What becomes of an expression."""

    sql: str = ""  #: in the target's words; "": it stays behind
    says: str = ""  #: how far it was proven, or why it stays behind


#: Classes of the parser that every server has, in whatever words, and takes in a check.
_KNOWN = frozenset(
    {
        "Abs", "Add", "And", "Array", "Between", "BitwiseAnd", "BitwiseOr", "Boolean", "Case", "Cast", "Coalesce",
        "Column", "Concat", "DPipe", "DataType", "DataTypeParam", "Day", "Div", "EQ", "Escape", "Extract", "GT", "GTE",
        "Greatest", "Identifier", "If", "In", "IntDiv", "Is", "LT", "LTE", "Least", "Left", "Length", "Like", "Literal",
        "Lower", "Mod", "Month", "Mul", "NEQ", "Neg", "Not", "Null", "NullSafeEQ", "NullSafeNEQ", "Nullif", "Or",
        "Paren", "RegexpLike", "Replace", "Right", "Round", "Sub", "Substring", "Trim", "TsOrDsToDate", "Tuple",
        "Upper", "Var", "Xor", "Year",
    }
)  # fmt: skip
_TEMPORAL = frozenset({Kind.DATE, Kind.TIME, Kind.TIMESTAMP})


def carry(
    mapper: mapping.Mapper, table: catalog.Table, sql: str, target: Sequence[catalog.Column], use: Use,
    result: tuple[catalog.Column, catalog.Column] | None = None,
) -> Carried:  # fmt: skip
    """Return an expression of the source as it can stand on the target, where both servers agree on what it says.

    `target`: the table's columns there, in the order of the source's. `result`: of VALUE and DEFAULT, the column on
    both sides.
    """
    if mapper.judge is None or mapper.source.ask is None or mapper.target.ask is None:
        return Carried(says="its meaning might differ on the target")
    try:
        root = _read(sql, mapper.source.ask.dialect, mapper.target.ask.dialect, use)
        kept = use in (Use.VALUE, Use.INDEX)
        if use is Use.DEFAULT and root.find(_glot().Column):
            raise errors.BadInput("it names other columns")
        pairs = () if use is Use.DEFAULT else tuple(zip(table.columns, target, strict=True))
        named = _named(root, pairs, mapper, kept)
        if kept:
            _refuse_unstored(root, {c.name: c.type.kind for c, _ in named}, mapper.target.ask.dialect)
        words = tuple(dict.fromkeys(n.this for n in root.find_all(_glot().Literal)))
        there = _write(root, table, target, mapper)
    except errors.BadInput as problem:
        return Carried(says=problem.message)
    judged = mapper.judge(Question(use, table, sql, there, named, words, result))
    if judged.against:
        return Carried(says=judged.against)
    return Carried(there, f"both servers gave the same answer for all of {judged.tried:,} rows tried")


def _read(sql: str, dialect: str, target: str, use: Use) -> Any:
    """Return the expression's tree within parentheses; raises BadInput."""
    from sqlglot import exp

    tree = plain(exp.Paren(this=queries.condition(sql, dialect)))
    if chance := queries.by_chance(tree):
        raise errors.BadInput(f"{chance} gives another value each time")
    for node in tree.walk():
        if isinstance(node, exp.Anonymous) and node.name.lower() == "octet_length" and target != "sqlite":
            continue  # only SQLite's younger versions have it
        if isinstance(node, exp.Anonymous):
            raise errors.BadInput(f"what the function {node.name} means is known to its server only")
        if target == "postgres" and use is not Use.DEFAULT and (_compares_texts(node) or not node.find(exp.Column)):
            _refuse_bare_texts(node)
        if type(node).__name__ not in _KNOWN:
            raise errors.BadInput(f"{_word(node)} is not carried between servers")
    return tree


def _refuse_bare_texts(node: Any) -> None:
    """Raise BadInput where only texts are asked: a CREATE TABLE of PostgreSQL finds no collation for them."""
    from sqlglot import exp

    if (
        isinstance(node, exp.Predicate | exp.Func)
        and not isinstance(node, exp.Cast)
        and any(n.is_string for n in node.find_all(exp.Literal))
    ):
        raise errors.BadInput(f"{_word(node)} of texts alone has no collation on the target")


def _compares_texts(node: Any) -> bool:
    """Tell whether a comparison among several holds two texts against each other."""
    from sqlglot import exp

    if not isinstance(node, exp.In | exp.Between) or node.this.find(exp.Column):
        return False
    others = node.expressions or [node.args["low"], node.args["high"]]
    return any(not o.find(exp.Column) and o.find(exp.Literal) and o.find(exp.Literal).is_string for o in others)


def plain(tree: Any) -> Any:
    """Return a tree without what only one server writes and what means nothing: casts to what a value is already."""
    from sqlglot import exp

    for cast in list(tree.find_all(exp.Cast)):
        inner = cast.this.unnest() if isinstance(cast.this, exp.Paren) else cast.this
        if not isinstance(inner, exp.Literal | exp.Neg):
            continue
        # PostgreSQL writes 'word'::text; on MariaDB the cast would give the word a collation that goes before.
        if isinstance(inner, exp.Literal) and inner.is_string and cast.to.this in exp.DataType.TEXT_TYPES:
            cast.replace(inner)
        elif cast.to.this in exp.DataType.NUMERIC_TYPES and not cast.to.expressions and (n := _number(inner)):
            if cast.to.this not in exp.DataType.INTEGER_TYPES and isinstance(cast.parent, exp.Div) and n.is_int:
                continue  # without it, it would be a division of whole numbers
            cast.replace(n)
    for one_of in list(tree.find_all(exp.EQ)):
        # Nor does another server know the array that PostgreSQL makes of IN.
        array = one_of.expression.this if isinstance(one_of.expression, exp.Any) else None
        while isinstance(array, exp.Paren | exp.Cast):
            array = array.this
        if isinstance(array, exp.Array):
            one_of.replace(exp.In(this=one_of.this, expressions=array.expressions))
    for quotient in list(tree.find_all(exp.Div, exp.IntDiv, exp.Mod)):
        by = quotient.expression.unnest()
        if isinstance(by, exp.Literal) and by.is_number and float(by.this):
            quotient.set("safe", False)  # there is no nought that the other server would have to be kept from
    for introduced in list(tree.find_all(exp.Introducer)):  # MySQL's _utf8mb4'word'
        introduced.replace(introduced.expression)
    return tree


def _number(node: Any) -> Any:
    """Return the number that is cast to a number, also one that is written as a text; None for anything else."""
    from sqlglot import exp

    if isinstance(node, exp.Neg):
        inner = _number(node.this)
        return exp.Neg(this=inner) if inner is not None else None
    text = node.this if isinstance(node, exp.Literal) else ""
    digits = text.removeprefix("-")
    if not digits.replace(".", "", 1).isdigit():
        return None
    number = exp.Literal.number(digits)
    return exp.Paren(this=exp.Neg(this=number)) if text.startswith("-") else number


def _named(
    tree: Any, pairs: Sequence[tuple[catalog.Column, catalog.Column]], mapper: mapping.Mapper, stored: bool
) -> tuple[tuple[catalog.Column, catalog.Column], ...]:
    """Return the columns that are named; without casts to what they are already. Raises BadInput."""
    from sqlglot import exp

    found: dict[str, tuple[catalog.Column, catalog.Column]] = {}
    for node in list(tree.find_all(exp.Column)):
        pair = next((p for p in pairs if p[0].name == node.name), None)
        pair = pair or next((p for p in pairs if p[0].name.lower() == node.name.lower()), None)
        if pair is None or node.table:
            raise errors.BadInput(f"{node.name} is no column of the table")
        here, there = pair
        if stored and here.generated is not None:
            raise errors.BadInput(f"it names {here.name}, which is computed itself")
        # Padded texts lose their blanks when they are given as text, and have them on some targets.
        if here.type.kind not in weighing.TRIED or here.type.fixed:
            raise errors.BadInput(f"values of {here.name} ({here.native}) can't be tried on both servers")
        if there.identity is not None and mapper.target.capabilities.one_identity:
            raise errors.BadInput(f"the target numbers {here.name}, and lets no expression name it")
        found[here.name] = pair
        around = node
        while isinstance(around.parent, exp.Paren):
            around = around.parent
        cast = around.parent
        if isinstance(cast, exp.Cast) and cast.parent is not None and not cast.to.expressions:
            of = here.type
            is_text = of.kind is Kind.TEXT and not of.fixed and cast.to.this in exp.DataType.TEXT_TYPES
            is_exact = cast.to.this is exp.DataType.Type.DECIMAL and of.kind in (Kind.INTEGER, Kind.DECIMAL)
            if is_text or is_exact:
                cast.replace(around)
    return tuple(found.values())


def _refuse_unstored(tree: Any, kinds: dict[str, Kind], dialect: str) -> None:
    """Raise BadInput for what a server computes but does not keep: it may give something else in another session."""
    from sqlglot import exp

    def temporal(node: Any) -> bool:
        return any(kinds.get(c.name) in _TEMPORAL for c in node.find_all(exp.Column))

    for node in tree.walk():
        if isinstance(node, exp.Cast | exp.TsOrDsToDate) and (temporal(node) or dialect == "mysql"):
            raise errors.BadInput(f"{_word(node)} can't be kept by the target: it may depend on the session")
        if isinstance(node, exp.DPipe | exp.Concat) and dialect == "postgres":
            parts = node.expressions or [node.this, node.expression]
            if any(kinds.get(p.name, Kind.TEXT) is not Kind.TEXT for p in parts if isinstance(p, exp.Column)):
                raise errors.BadInput(f"{_word(node)} of something that is no text can't be kept by the target")


def _glot() -> Any:
    from sqlglot import exp

    return exp


def _write(tree: Any, table: catalog.Table, target: Sequence[catalog.Column], mapper: mapping.Mapper) -> str:
    from sqlglot import ErrorLevel, exp
    from sqlglot import errors as glot

    assert mapper.source.ask is not None and mapper.target.ask is not None
    dialect = mapper.target.ask.dialect
    there = catalog.Table(table.name, tuple(target))
    names = {c.name: t.name for c, t in zip(table.columns, target, strict=False)}
    planned = scope.Planned(str(table.name), table, there, names)
    plan = scope.Plan((planned,), (), {}, (table.name.schema,), (table.name.schema,), mapper.same)
    query = exp.Select(expressions=[tree]).from_(
        exp.Table(
            this=exp.Identifier(this=table.name.name, quoted=True),
            db=exp.Identifier(this=table.name.schema, quoted=True) if table.name.schema else None,
        )
    )
    written = asked.rewritten(query, asked.Side(plan, True, dialect, mapper.source.ask.dialect))
    for column in written.find_all(exp.Column):
        column.set("table", None)
    try:
        sql: str = written.expressions[0].sql(dialect=dialect, comments=False, unsupported_level=ErrorLevel.RAISE)
    except glot.SqlglotError as problem:
        raise errors.BadInput(f"{dialect} can't say this: {str(problem).splitlines()[0]}") from None
    return sql[1:-1] if sql.startswith("(") and sql.endswith(")") else sql


def _word(node: Any) -> str:
    from sqlglot import exp

    return str(node.sql_name()) if isinstance(node, exp.Func) else type(node).__name__.upper()
