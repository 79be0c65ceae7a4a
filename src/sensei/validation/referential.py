"""Does every row that points at another find it, by the source's foreign keys and by relationships asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sensei import catalog, errors
from sensei.validation import advice, model, scope

_PERSPECTIVE = model.Perspective.REFERENTIAL


@dataclass(frozen=True)
class Relationship:
    """Rows of one table that point at rows of another, by each side's names."""

    table: str  #: id of the child
    parent: str
    name: str
    source: tuple[catalog.TableName, tuple[str, ...], catalog.TableName, tuple[str, ...]]
    target: tuple[catalog.TableName, tuple[str, ...], catalog.TableName, tuple[str, ...]]


def check(scoped: scope.Scope) -> model.Outcome:
    """Count the orphans on the target; where there are any, on the source as well, which tells whose they are."""
    declared, asked = (
        [r for r in found if r.table not in scoped.gone and r.parent not in scoped.gone]
        for found in (_declared(scoped.plan), _asked(scoped))
    )
    if not declared and not asked and not scoped.gone:
        return scope.not_asked(_PERSPECTIVE, "no foreign key is declared, and validation.relationships names none")
    failures: list[model.Failure] = []
    with scoped.both() as ends:
        for n, one in enumerate([*declared, *asked], 1):
            scoped.pause()
            unit = f"{_PERSPECTIVE}:{one.table}:{one.name}"
            known = scoped.memory.get(unit)
            if known is None:
                known = _count(ends, one)
                scoped.memory.put(unit, known)
            scoped.progress(_PERSPECTIVE, one.table, n, len(declared) + len(asked))
            if known["target"]:
                failures.append(_failure(scoped, one, known))
    count = len(declared) + len(asked)
    return scope.outcome(
        _PERSPECTIVE,
        f"{count} relationships, {len(declared)} declared and {len(asked)} asked for:"
        f" {f'orphans in {len(failures)}' if failures else 'no orphan'}{scoped.left_out()}",
        failures,
        {"relationships": count, "share": 1.0},
    )


def _count(ends: scope.Both, one: Relationship) -> dict[str, Any]:
    with_target = scope.survey(ends.target.engine).orphans(ends.target_session, *one.target)
    if not with_target.rows:
        return {"target": 0}
    with_source = scope.survey(ends.source.engine).orphans(ends.source_session, *one.source)
    return {"target": with_target.rows, "source": with_source.rows, "samples": list(with_target.samples)}


def _failure(scoped: scope.Scope, one: Relationship, known: dict[str, Any]) -> model.Failure:
    theirs = known["source"] == known["target"]
    cause = model.Cause.SOURCE_DATA_ISSUE if theirs else model.Cause.TRANSFORMATION_BUG
    child, columns, parent, _ = one.target
    samples = ", ".join(known["samples"])
    return model.Failure(
        _PERSPECTIVE,
        one.table,
        model.Severity.WARNING if theirs else model.Severity.CRITICAL,
        cause,
        advice.action(cause, scoped.migration, one.table),
        f"{known['target']:,} rows of {child} point with {', '.join(columns)} at no row of {parent}"
        f" ({one.name}), such as {samples}; the source has {known['source']:,} such rows",
        {"orphans": known["target"], "orphans_on_source": known["source"], "samples": known["samples"]},
    )


def _declared(plan: scope.Plan) -> Iterator[Relationship]:
    by_source = {t.source.name: t for t in plan.tables}
    for child in plan.tables:
        for n, fk in enumerate(child.source.foreign_keys, 1):
            parent = by_source.get(fk.table)
            if parent is not None:
                yield _relationship(child, fk.columns, parent, fk.references, fk.name or f"foreign key {n}")


def _relationship(
    child: scope.Planned, columns: tuple[str, ...], parent: scope.Planned, references: tuple[str, ...], name: str
) -> Relationship:
    return Relationship(
        child.id,
        parent.id,
        name,
        (child.source.name, columns, parent.source.name, references),
        (child.target.name, _renamed(child, columns), parent.target.name, _renamed(parent, references)),
    )


def _renamed(planned: scope.Planned, columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(planned.names.get(c, c) for c in columns)


def _asked(scoped: scope.Scope) -> Iterator[Relationship]:
    for n, wanted in enumerate(scoped.asked.relationships):
        child = _table(scoped.plan, wanted.table, f"validation.relationships[{n}].table")
        parent = _table(scoped.plan, wanted.references, f"validation.relationships[{n}].references")
        columns = _columns(child, wanted.columns, n, "columns")
        to = wanted.to or (parent.source.primary.columns if parent.source.primary else ())
        references = _columns(parent, to, n, "to")
        if len(columns) != len(references):
            raise errors.BadInput(
                f"validation.relationships[{n}]: {len(columns)} columns can't point at {len(references)}",
                hint="name as many columns under `to` as under `columns`",
            )
        yield _relationship(child, columns, parent, references, f"{wanted.table} to {wanted.references}")


def _table(plan: scope.Plan, name: str, path: str) -> scope.Planned:
    found = plan.resolve(name)
    if found is None:
        raise errors.UnknownName(
            f"{path}: no table of the plan is called {name}",
            hint=f"one of: {', '.join(t.id for t in plan.tables[:20])}",
        )
    return found


def _columns(table: scope.Planned, columns: tuple[str, ...], n: int, key: str) -> tuple[str, ...]:
    known = {c.name for c in table.source.columns}
    for column in columns:
        if column not in known:
            raise errors.UnknownName(
                f"validation.relationships[{n}].{key}: {table.id} has no column {column}",
                hint=f"one of: {', '.join(c.name for c in table.source.columns)}",
            )
    return tuple(columns)
