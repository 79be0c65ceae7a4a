"""Turns a query in the source's names into the same question to either side: its names, its dialect, its types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sensei import catalog, errors
from sensei.catalog import types
from sensei.validation import scope

_DECIMAL_AS_TEXT = re.compile(r"text|char|clob", re.IGNORECASE)
#: Dialects in which dividing two whole numbers gives a whole number.
_WHOLE_DIVISION = ("postgres", "sqlite")


@dataclass(frozen=True)
class Side:
    """One side as a question is put to it."""

    plan: scope.Plan
    is_target: bool
    dialect: str  #: the server's
    written: str  #: the text's own dialect; "": portable

    def table(self, planned: scope.Planned) -> catalog.Table:
        """Return the table on this side."""
        return planned.target if self.is_target else planned.source

    def column(self, planned: scope.Planned, name: str) -> catalog.Column | None:
        """Return this side's column for a source's name, by its letters or whatever their case."""
        pairs = list(planned.columns())
        for same in (str, str.lower):
            for source, target in pairs:
                if same(source.name) == same(name):
                    return target if self.is_target else source
        return None


def sql(tree: Any, side: Side, *, binary: bool = False) -> str:
    """Return a tree's SQL for one side; raises BadInput where its dialect can't say it.

    `binary`: texts are compared by their bytes, whatever the columns' collations are.
    """
    from sqlglot import ErrorLevel
    from sqlglot import errors as glot

    copy = rewritten(tree, side, binary=binary)
    try:
        # Without comments: MySQL carries some of them out.
        return str(copy.sql(dialect=side.dialect, comments=False, unsupported_level=ErrorLevel.RAISE))
    except glot.SqlglotError as problem:
        raise errors.BadInput(f"{side.dialect} can't say this: {str(problem).splitlines()[0]}") from None


def rewritten(tree: Any, side: Side, *, binary: bool = False) -> Any:
    """Return a copy of a tree with one side's names and types; raises BadInput."""
    return _Rewriter(side, binary).rewrite(tree.copy())


def tables(tree: Any, plan: scope.Plan) -> dict[str, scope.Planned]:
    """Return the planned tables that a query names, by the alias (in small letters) that it gives them."""
    from sqlglot import exp

    found = {}
    for node in tree.find_all(exp.Table):
        planned = planned_of(node, plan)
        if planned is not None:
            found[(node.alias or node.name).lower()] = planned
    return found


def planned_of(node: Any, plan: scope.Plan) -> scope.Planned | None:
    """Return the planned table that a table node means: by its own letters, or whatever their case."""
    if not node.db and _is_local(node):
        return None
    for same in (str, str.lower):
        hits = [
            t
            for t in plan.tables
            if same(t.source.name.name) == same(node.name)
            and (not node.db or not t.source.name.schema or same(t.source.name.schema) == same(node.db))
        ]
        if hits:
            # Of several schemas, the first that was named is meant, as on a search path.
            order = {s: n for n, s in enumerate(plan.schemas)}
            return min(hits, key=lambda t: order.get(t.source.name.schema, len(order)))
    return None


def _is_local(node: Any) -> bool:
    """Tell whether a WITH around a table node defines its name."""
    from sqlglot import exp

    above = node.parent
    while above is not None:
        held = above.args.get("with_") or above.args.get("with")
        if isinstance(held, exp.With) and any(c.alias.lower() == node.name.lower() for c in held.expressions):
            return True
        above = above.parent
    return False


class _Rewriter:
    def __init__(self, side: Side, binary: bool) -> None:
        self.side, self.binary = side, binary

    def rewrite(self, tree: Any) -> Any:
        """Give tables and columns this side's names, quoted; and what its types ask for."""
        from sqlglot import exp

        self.exp = exp
        self.aliases = {a.alias.lower() for a in tree.find_all(exp.Alias) if a.alias}
        columns = {id(c): (c, self._resolve(c)) for c in list(tree.find_all(exp.Column))}
        using = [(j, list(j.args.get("using") or ())) for j in tree.find_all(exp.Join) if j.args.get("using")]
        everyone = list(tables(tree, self.side.plan).values())
        for join, names in using:
            join.set("using", [self._of(everyone, i.name) or i for i in names])
        named = [(t, planned_of(t, self.side.plan)) for t in list(tree.find_all(exp.Table))]
        for node, planned in named:
            self._table(node, planned)
        wrapped = []
        for column, found in columns.values():
            if found is None:
                continue
            column.set("this", self._identifier(found[1].name))
            column.set("db", None)
            column.set("catalog", None)
            wrapped.append((column, found))
        self._divide(tree, {id(c): f for c, f in wrapped})
        for column, (source, own) in wrapped:
            tree = self._typed(tree, column, source, own)
        return tree

    def _identifier(self, name: str) -> Any:
        return self.exp.Identifier(this=name, quoted=True)

    def _of(self, planned: list[scope.Planned], name: str) -> Any:
        for one in planned:
            found = self.side.column(one, name)
            if found is not None:
                return self._identifier(found.name)
        return None

    def _table(self, node: Any, planned: scope.Planned | None) -> None:
        if planned is None:
            if node.db and self.side.is_target and node.db in self.side.plan.schemas:
                # A view or a routine: it is looked for where the tables went.
                schema = next((s for s in self.side.plan.target_schemas if s), "")
                node.set("db", self._identifier(schema) if schema else None)
            return
        if not node.alias:
            alias = self.exp.Identifier(this=node.name, quoted=bool(node.this.args.get("quoted")))
            node.set("alias", self.exp.TableAlias(this=alias))
        name = self.side.table(planned).name
        node.set("this", self._identifier(name.name))
        node.set("db", self._identifier(name.schema) if name.schema else None)
        node.set("catalog", None)

    def _sources(self, select: Any) -> Iterator[tuple[str, scope.Planned | None]]:
        """Yield what a SELECT takes its rows from: alias, and the planned table unless it is something else."""
        held = select.args.get("from_") or select.args.get("from")
        for node in [*([held.this] if held else []), *(j.this for j in select.args.get("joins") or ())]:
            if isinstance(node, self.exp.Table):
                yield (node.alias or node.name).lower(), planned_of(node, self.side.plan)
            else:
                yield (node.alias_or_name or "").lower(), None

    def _resolve(self, column: Any) -> tuple[catalog.Column, catalog.Column] | None:
        """Return the source's column that is meant, and this side's; None for a name of the query's own."""
        if isinstance(column.this, self.exp.Star):
            return None
        name, qualifier = column.name, column.table.lower()
        if not qualifier and name.lower() in self.aliases and column.find_ancestor(self.exp.Ordered, self.exp.Group):
            return None
        select = column.find_ancestor(self.exp.Select)
        is_derived = False
        while select is not None:
            for alias, planned in self._sources(select):
                if qualifier and alias != qualifier:
                    continue
                if planned is None:
                    is_derived = True
                elif (found := self._pair(planned, name)) is not None:
                    return found
                if qualifier:
                    select = None
                    break
            select = select.find_ancestor(self.exp.Select) if select is not None else None
        if name.lower() in self.aliases:
            return None
        # An ORDER BY around a union, or a name that a query within gives on: the same column, as nothing renamed it.
        if is_derived or not qualifier:
            for planned in tables(column.root(), self.side.plan).values():
                if (found := self._pair(planned, name)) is not None:
                    return found
        return None

    def _pair(self, planned: scope.Planned, name: str) -> tuple[catalog.Column, catalog.Column] | None:
        source = Side(self.side.plan, False, "", "").column(planned, name)
        own = self.side.column(planned, name)
        if source is not None and source.name in planned.computed:
            raise errors.BadInput(
                f"it names {source.name} of {planned.id}, which an expression computes: the same words ask two things"
            )
        return (source, own) if source is not None and own is not None else None

    def _typed(self, tree: Any, column: Any, source: catalog.Column, own: catalog.Column) -> Any:
        exp = self.exp
        kind = source.type.kind
        parent = column.parent
        if kind is types.Kind.DECIMAL and _DECIMAL_AS_TEXT.search(own.native):
            # The number is kept as text here, which is compared and sorted as text.
            if not isinstance(parent, exp.Select | exp.Alias | exp.Count):
                to = "NUMERIC" if self.side.dialect == "sqlite" else "DECIMAL(65, 30)"
                return _put(tree, column, exp.Cast(this=column.copy(), to=exp.DataType.build(to, udt=True)))
        elif (
            own.type.kind in (types.Kind.DATE, types.Kind.TIMESTAMP)
            and self.side.dialect == "postgres" != self.side.written
            and isinstance(parent, exp.Substring | exp.Left | exp.DPipe)
            and (parent.this is column or isinstance(parent, exp.DPipe))
        ):
            # Elsewhere a moment is taken for its text where one is wanted; here it has to be asked for.
            return _put(tree, column, exp.Cast(this=column.copy(), to=exp.DataType.build("TEXT")))
        elif own.type.kind is types.Kind.BOOLEAN and self.side.dialect == "postgres":
            if isinstance(parent, exp.EQ | exp.NEQ | exp.In):
                for one in [parent.args.get("expression"), parent.this, *parent.args.get("expressions", [])]:
                    if isinstance(one, exp.Literal) and one.this in ("0", "1"):
                        one.replace(exp.Boolean(this=one.this == "1"))
        elif self.binary and kind is types.Kind.TEXT and not isinstance(parent, exp.Count):
            word = {"postgres": '"C"', "mysql": "utf8mb4_bin", "sqlite": "BINARY"}[self.side.dialect]
            inner: Any = column.copy()
            if self.side.dialect == "mysql":
                inner = exp.Cast(this=inner, to=exp.DataType.build("CHAR CHARACTER SET utf8mb4", udt=True))
            collated: Any = exp.Paren(this=exp.Collate(this=inner, expression=exp.Var(this=word)))
            if isinstance(parent, exp.Select) and column.arg_key == "expressions":
                collated = exp.alias_(collated, own.name, quoted=True)
            return _put(tree, column, collated)
        return tree

    def _divide(self, tree: Any, columns: dict[int, tuple[catalog.Column, catalog.Column]]) -> None:
        """Write a division of whole numbers so that it stays one: servers differ in what it gives."""
        exp = self.exp
        if self.side.written not in _WHOLE_DIVISION or self.side.dialect in _WHOLE_DIVISION:
            return

        def whole(node: Any) -> bool:
            if isinstance(node, exp.Paren | exp.Neg | exp.Abs):
                return whole(node.this)
            if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.IntDiv | exp.Div | exp.Mod):
                return whole(node.this) and whole(node.expression)
            if isinstance(node, exp.Column):
                found = columns.get(id(node))
                return found is not None and found[0].type.kind is types.Kind.INTEGER
            return isinstance(node, exp.Count) or (isinstance(node, exp.Literal) and node.is_int)

        for node in list(tree.find_all(exp.Div)):
            if whole(node.this) and whole(node.expression):
                node.replace(exp.IntDiv(this=node.this, expression=node.expression))


def _put(tree: Any, node: Any, other: Any) -> Any:
    """Put another node in a node's place; return the tree, which may be that node."""
    if node is tree:
        return other
    node.replace(other)
    return tree
