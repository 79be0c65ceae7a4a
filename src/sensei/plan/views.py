"""Carries views over: translated at planning, made when the rows are there, kept where both sides answer the same.

What can be told from a view's text alone to mean something else on another engine is left behind with the reason. For
the rest the proof is in the rows: see `sensei.runner.viewing`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sensei import catalog, errors, queries
from sensei.catalog import types
from sensei.engines import base
from sensei.plan import carrying, model, scoping, view_words
from sensei.validation import asked, scope

if TYPE_CHECKING:  # the mapper hands itself in
    from sensei.plan import mapping

_PART = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')


def add(
    made: model.Plan, mapper: mapping.Mapper, source: base.Catalog, target: base.Catalog, amends: model.Plan | None
) -> model.Plan:
    """Return the plan with the views of the source that can be made on the target, or told why they can't.

    `amends` is the plan that is made anew: its views may be there already.
    """
    views = [o for o in source.others if o.kind == "view"]
    here, there = mapper.source.ask, mapper.target.ask
    if not views or here is None or there is None:
        return made
    reader = _Reader(made, mapper, here.dialect, there.dialect)
    own = {str(v.target) for v in amends.views} if amends is not None else set()
    taken = {t.target.name for t in made.tables} | {s.name for s in made.sequences}
    taken |= {t.name for t in target.tables} | {s.name for s in target.sequences}
    taken |= {
        name
        for o in target.others
        if (name := view_name(o.name, mapper.target.capabilities.has_schemas)) and str(name) not in own
    }
    used = {(n.schema, mapper.names.fold(n.name)) for n in taken}
    found: list[model.ViewPlan] = []
    reasons: dict[str, str] = {}
    waiting, before = list(views), -1
    while waiting and len(waiting) != before:  # one that reads another comes after it, in a later round
        before, again = len(waiting), []
        for other in waiting:
            try:
                view = reader.read(other)
                if (view.target.schema, mapper.names.fold(view.target.name)) in used:
                    raise errors.BadInput(f"the target has something of the name {view.target} already")
            except errors.BadInput as problem:
                reasons[other.name] = f"not carried over: {problem.message}"
                again.append(other)
                continue
            used.add((view.target.schema, mapper.names.fold(view.target.name)))
            found.append(view)
            reader.know(view)
        waiting = again
    names = {v.origin for v in found}
    return dataclasses.replace(
        made,
        views=tuple(found),
        steps=tuple(_steps(made.steps, found)),
        not_migrated=tuple(
            dataclasses.replace(n, reason=reasons.get(n.object, n.reason)) if n.kind == "view" else n
            for n in made.not_migrated
            if n.kind != "view" or n.object not in names
        ),
    )


def statement(view: model.ViewPlan, engine: base.Engine) -> str:
    """Return the statement that makes a view."""
    listed = f" ({', '.join(map(engine.ddl.quote, view.columns))})" if view.columns else ""
    return f"CREATE VIEW {engine.ddl.qualified(view.target)}{listed} AS {view.sql}"


def view_name(full: str, has_schemas: bool) -> catalog.TableName | None:
    """Return the name that an inventory gives in full; None where it is not that of a view, or can't be told."""
    if not has_schemas:
        return catalog.TableName("", full)
    parts = [(quoted.replace('""', '"') or plain) for quoted, plain in _PART.findall(full)]
    return catalog.TableName(parts[0], parts[1]) if len(parts) == 2 else None


def _steps(steps: tuple[model.Step, ...], views: list[model.ViewPlan]) -> Iterator[model.Step]:
    """Yield the steps with those of the views before the statistics and the proof, which look at all."""
    for step in steps:
        if step.kind == "analyze":
            for view in views:
                yield model.Step(f"create_view:{view.target}", "create_view", str(view.target), True, "drop it")
        yield step


class _Reader:
    """Translates views of one plan."""

    def __init__(self, made: model.Plan, mapper: mapping.Mapper, written: str, dialect: str) -> None:
        self.made, self.mapper, self.written, self.dialect = made, mapper, written, dialect
        self.scope = scoping.of(made)
        self.plans = {t.id: t for t in made.tables}
        self.views: dict[str, model.ViewPlan] = {}

    def know(self, view: model.ViewPlan) -> None:
        """Let other views read this one."""
        if not view.columns:
            return  # what they are is told by its tables alone

        def table(name: catalog.TableName) -> catalog.Table:
            kind = types.LogicalType(types.Kind.ANY)
            return catalog.Table(name, tuple(catalog.Column(c, kind, "") for c in view.columns))

        id = f"view {view.origin}"
        planned = scope.Planned(id, table(view.source), table(view.target), {c: c for c in view.columns})
        self.scope = dataclasses.replace(self.scope, tables=(*self.scope.tables, planned))
        self.views[id] = view

    def read(self, other: catalog.Other) -> model.ViewPlan:
        """Return a view as it is to be made; raises BadInput with the reason where it can't."""
        name = view_name(other.name, self.mapper.source.capabilities.has_schemas)
        if name is None:
            raise errors.BadInput("its name can't be told from that of its schema")
        target = catalog.TableName(self.mapper.target_schema(name.schema), name.name)
        if not self.mapper.names.fits(target.name):
            raise errors.BadInput(f"its name is longer than {self.mapper.names.limit()}")
        tree, listed = self._parse(other.definition)
        tables = self._tables(tree)
        if not self.mapper.same:
            view_words.refuse(tree, [self.plans[t.id] for t in tables.values() if t.id in self.plans], self.written)
        columns = listed or self._columns(tree, tables)
        sql = asked.sql(tree, asked.Side(self.scope, True, self.dialect, self.written))
        ids = {t.id for t in tables.values()}
        through = [self.views[i] for i in sorted(ids) if i in self.views]
        own = {i for i in ids if i in self.plans}.union(*(v.tables for v in through))
        return model.ViewPlan(
            other.name, name, target, sql, columns, tuple(sorted(own)), tuple(str(v.target) for v in through)
        )

    def _parse(self, definition: str) -> tuple[Any, tuple[str, ...]]:
        """Return the query's tree, and the names that CREATE VIEW gives to its columns."""
        import sqlglot
        from sqlglot import errors as glot
        from sqlglot import exp

        text, listed = definition.strip().rstrip(";"), ()
        if self.written == "sqlite":  # which keeps the statement, not the query
            try:
                made = sqlglot.parse_one(text, dialect=self.written)
            except (glot.SqlglotError, RecursionError):
                raise errors.BadInput("its definition can't be read") from None
            if not isinstance(made, exp.Create) or made.expression is None:
                raise errors.BadInput("its definition can't be read")
            if isinstance(made.this, exp.Schema):
                listed = tuple(c.name for c in made.this.expressions)
            text = made.expression.sql(dialect=self.written, comments=False)
        tree = queries.query(text, self.written)
        carrying.plain(tree)
        if name := queries.by_chance(tree):
            raise errors.BadInput(f"{name} gives another value each time")
        for node in tree.walk():
            if isinstance(node, exp.Anonymous):
                raise errors.BadInput(f"what the function {node.name} means is known to its server only")
            if isinstance(node, _moments()):
                raise errors.BadInput("it asks for the time, so that no two answers can be compared")
        return tree, listed

    def _tables(self, tree: Any) -> dict[str, scope.Planned]:
        from sqlglot import exp

        within = {c.alias.lower() for c in tree.find_all(exp.CTE)}
        for node in tree.find_all(exp.Table):
            if not node.db and node.name.lower() in within:
                continue
            planned = asked.planned_of(node, self.scope)
            if planned is None:
                raise errors.BadInput(f"it reads {node.name or 'a function'}, which is not migrated")
            plan = self.plans.get(planned.id)
            if plan is None:
                continue  # another view
            if plan.append is not None or planned.where or planned.computed:
                raise errors.BadInput(f"it reads {planned.id}, of which the target has other rows or values")
        return asked.tables(tree, self.scope)

    def _columns(self, tree: Any, tables: dict[str, scope.Planned]) -> tuple[str, ...]:
        from sqlglot import exp

        first = tree
        while isinstance(first, exp.SetOperation):
            first = first.this
        if not isinstance(first, exp.Select):
            raise errors.BadInput("its definition can't be read")
        if any(e.is_star for e in first.expressions):
            if any(s.name != t.name for one in tables.values() for s, t in one.columns()):
                raise errors.BadInput("it gives on all columns of a table, some of which have other names there")
            return ()
        names = tuple(e.alias_or_name for e in first.expressions)
        if not all(names) or len({self.mapper.names.fold_column(n) for n in names}) < len(names):
            raise errors.BadInput("a column of it has no name of its own")
        return names


def _moments() -> tuple[type, ...]:
    from sqlglot import exp

    words = ("CurrentDate", "CurrentTime", "CurrentTimestamp", "CurrentDatetime", "Localtime", "Localtimestamp",
             "UtcDate", "UtcTime", "UtcTimestamp", "CurrentUser", "SessionUser")  # fmt: skip
    return tuple(getattr(exp, w) for w in words if hasattr(exp, w))
