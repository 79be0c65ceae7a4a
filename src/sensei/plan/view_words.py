"""What of a view's words means the same on every engine: all others are refused, since rows might not show it.

The rows of both sides are compared when the view is made, and that finds what is wrong now. A rounding, an empty
quotient, a NULL that is passed over or a letter beyond ASCII may come next year, so words that differ there don't pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sensei import errors
from sensei.catalog import types
from sensei.plan import model

Kind = types.Kind

_NUMBERS = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT})
_TEXTS = frozenset({Kind.TEXT})
_MOMENTS = frozenset({Kind.DATE, Kind.TIMESTAMP})

#: Classes of the parser that are the same everywhere, whatever they hold.
_PLAIN = (
    "Alias", "And", "Array", "Any", "Between", "Boolean", "CTE", "Case", "Coalesce", "Column", "Count", "DataType",
    "Distinct", "EQ", "Except", "Exists", "From", "Group", "GT", "GTE", "Having", "Identifier", "If", "In",
    "Intersect", "Is", "Join", "LT", "LTE", "Literal", "NEQ", "Not", "Null", "Nullif", "Or", "Order", "Ordered",
    "Paren", "Select", "Star", "Subquery", "Table", "TableAlias", "Tuple", "Union", "Where", "With",
)  # fmt: skip
#: Those that are the same over some kinds of values only.
_ARITHMETIC = ("Add", "Sub", "Mul", "Neg", "Abs", "Mod", "Sum")
_OF_TEXT = ("DPipe", "Substring", "Length", "Trim")


def refuse(tree: Any, tables: Iterable[model.TablePlan], written: str) -> None:
    """Raise BadInput with the reason where a word of a query, `written` in this dialect, may mean something else."""
    _Words(tree, list(tables), written).refuse()


class _Words:
    def __init__(self, tree: Any, tables: list[model.TablePlan], written: str) -> None:
        from sqlglot import exp

        self.exp, self.tree, self.written = exp, tree, written
        #: What columns of a name hold, in whichever of the tables.
        self.kinds: dict[str, set[Kind]] = {}
        self.folding: set[str] = set()
        for table in tables:
            for column in table.columns:
                self.kinds.setdefault(column.source.lower(), set()).add(column.source_type.kind)
                if column.source_type.folds:
                    self.folding.add(column.source.lower())

    def refuse(self) -> None:
        exp = self.exp
        if self.tree.find(exp.Like, exp.ILike, exp.SimilarTo, exp.RegexpLike, exp.RegexpILike, exp.Glob):
            raise errors.BadInput("it compares by a pattern, and servers differ in whether case counts there")
        if any(s.args.get(a) for s in self.tree.find_all(exp.Query) for a in ("limit", "offset", "fetch")):
            raise errors.BadInput("it takes only so many rows, and which is each server's choice")
        for node in self.tree.walk():
            self._node(node)

    def _node(self, node: Any) -> None:
        exp, word = self.exp, type(node).__name__
        if word in _ARITHMETIC:
            if not self._is(node, _NUMBERS):
                raise errors.BadInput(f"it reckons with something that is not surely a number ({self._short(node)})")
        elif word in _OF_TEXT:
            self._of_text(node)
        elif word in ("Min", "Max"):
            if not self._is(node.this, _NUMBERS | _MOMENTS) or node.expressions:
                raise errors.BadInput(f"servers differ in which is the least or the greatest ({self._short(node)})")
        elif isinstance(node, exp.Cast):
            whole = self._is(node.this, frozenset({Kind.INTEGER})) and node.to.this in exp.DataType.NUMERIC_TYPES
            text = self._is(node.this, _TEXTS) and node.to.this in exp.DataType.TEXT_TYPES
            if node.to.expressions or not (whole or text):
                raise errors.BadInput(f"servers differ in how they convert ({self._short(node)})")
        elif isinstance(node, exp.Join) and (node.args.get("method") or node.args.get("using")):
            raise errors.BadInput("it joins by names")
        elif word not in _PLAIN:
            raise errors.BadInput(f"what {word.upper()} gives is not the same on all servers ({self._short(node)})")
        if isinstance(node, exp.Column):
            self._compared(node)
        elif isinstance(node, exp.GT | exp.GTE | exp.LT | exp.LTE | exp.Between):
            self._sorted(node)

    def _of_text(self, node: Any) -> None:
        exp = self.exp
        holds = _TEXTS | _MOMENTS if isinstance(node, exp.Substring) else _TEXTS
        parts = [node.this, node.expression] if isinstance(node, exp.DPipe) else [node.this]
        known = {"this", "expression"} if isinstance(node, exp.DPipe) else {"this"}
        if isinstance(node, exp.Substring):
            known |= {"start", "length"}
            start = node.args.get("start")
            if not (isinstance(start, exp.Literal) and start.is_int and int(start.this) > 0):
                raise errors.BadInput(f"servers differ in where a text begins ({self._short(node)})")
        extra = {k for k, v in node.args.items() if v} - known - {"safe", "encoding"}
        if extra or not all(self._is(p, holds) for p in parts):
            raise errors.BadInput(f"it takes something for a text that is not surely one ({self._short(node)})")

    def _compared(self, column: Any) -> None:
        exp, name = self.exp, column.name.lower()
        comparing = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between, exp.Group, exp.Distinct,
                     exp.Join, exp.Ordered, exp.Union, exp.Case, exp.Count)  # fmt: skip
        if name in self.folding and column.find_ancestor(*comparing):
            raise errors.BadInput(f"it compares {column.name}, whose case or accents do not count on the source")

    def _sorted(self, node: Any) -> None:
        exp = self.exp
        parts = (node.this, node.args.get("expression"), node.args.get("low"), node.args.get("high"))
        for part in parts:
            if part is not None and not isinstance(part, exp.Literal) and not self._is(part, _NUMBERS | _MOMENTS):
                raise errors.BadInput(f"servers differ in how such values are sorted ({self._short(part)})")

    def _is(self, node: Any, kinds: frozenset[Kind]) -> bool:
        """Tell whether a value is surely of one of these kinds, or NULL."""
        exp = self.exp
        if isinstance(node, exp.Null):
            return True
        if isinstance(node, exp.Literal):
            return (
                Kind.TEXT in kinds if node.is_string else bool(kinds & _NUMBERS) and (node.is_int or kinds >= _NUMBERS)
            )
        if isinstance(node, exp.Column):
            found = self.kinds.get(node.name.lower(), set())
            return bool(found) and found <= kinds
        if isinstance(node, exp.Paren | exp.Neg | exp.Abs | exp.Sum | exp.Distinct):
            return all(self._is(n, kinds) for n in (node.expressions or [node.this]))
        if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Mod | exp.DPipe):
            return self._is(node.this, kinds) and self._is(node.expression, kinds)
        if isinstance(node, exp.Coalesce):
            return all(self._is(n, kinds) for n in (node.this, *node.expressions))
        if isinstance(node, exp.Case):
            results = [i.args.get("true") for i in node.args["ifs"]]
            return all(
                self._is(n, kinds) for n in (*results, *([node.args["default"]] if node.args.get("default") else []))
            )
        if isinstance(node, exp.Cast):
            return self._is(node.this, kinds)
        if isinstance(node, exp.Count):
            return Kind.INTEGER in kinds
        return isinstance(node, exp.Substring | exp.Trim) and Kind.TEXT in kinds

    def _short(self, node: Any) -> str:
        text = str(node.sql(dialect=self.written, comments=False))
        return text if len(text) <= 60 else f"{text[:60]}…"
