"""Accounts for every object of the source: migrated, changed and how, or not migrated and why."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sensei import catalog
from sensei.catalog import types
from sensei.plan import model


class Fate(StrEnum):
    """What becomes of an object."""

    MIGRATED = "migrated"
    CHANGED = "changed"
    LEFT = "not migrated"


@dataclass(frozen=True)
class Item:
    """One object of the source."""

    kind: str
    object: str  #: columns, keys and the like behind their table's name
    fate: Fate
    reason: str = ""  #: how it was changed, or why it stays


def items(plan: model.Plan) -> list[Item]:
    """Return every object that was found in the schemas that were looked at, each once."""
    left = {(n.kind, n.object): n.reason for n in plan.not_migrated}
    found: list[Item] = []
    for table in plan.tables:
        found += _table(table, left)
    found += [
        Item(
            "sequence",
            origin,
            Fate.MIGRATED if origin == name else Fate.CHANGED,
            "" if origin == name else f"becomes {name}",
        )
        for name, origin in plan.sequence_sources.items()
    ]
    found += [Item("sequence", name, Fate.CHANGED, reason) for name, reason in plan.numbering.items()]
    same = plan.source_engine == plan.target_engine
    kept = "translated, and kept where both sides answer the same"
    found += [Item("view", v.origin, *((Fate.MIGRATED,) if same else (Fate.CHANGED, kept))) for v in plan.views]
    known = {(i.kind, i.object) for i in found}
    found += [Item(n.kind, n.object, Fate.LEFT, n.reason) for n in plan.not_migrated if (n.kind, n.object) not in known]
    return found


def summary(found: list[Item]) -> list[tuple[str, int, int, int]]:
    """Return (kind, migrated, changed, not migrated), in the order of the kinds' first objects."""
    counts: dict[str, collections.Counter[Fate]] = {}
    for item in found:
        counts.setdefault(item.kind, collections.Counter())[item.fate] += 1
    return [(kind, *(n[fate] for fate in Fate)) for kind, n in counts.items()]  # type: ignore[misc]


_Left = Mapping[tuple[str, str], str]


def _table(plan: model.TablePlan, left: _Left) -> Iterator[Item]:
    source, target = plan.source, plan.target
    whole = source.kind == "partitioned"
    if whole or source.name.name != target.name.name:
        what = "arrives as one table with every partition's rows" if whole else f"becomes {target.name}"
        yield Item("table", plan.id, Fate.CHANGED, what)
    else:
        yield Item("table", plan.id, Fate.MIGRATED)
    carried = {c.source: c for c in (*plan.columns, *plan.computed)}
    for n, column in enumerate(source.columns):
        there = target.columns[n] if n < len(target.columns) else None
        yield _column(plan, column, carried.get(column.name))
        yield from _parts(plan.id, column, there, left)
    names = {c.source: c.target for c in carried.values()}
    if source.primary is not None:
        yield _key("primary key", plan.id, source.primary, target.primary, left)
    unused = list(target.uniques)
    for key in source.uniques:
        own = tuple(names.get(c, c) for c in key.columns)
        same = next((k for k in unused if k.columns == own), None)
        if same is not None:
            unused.remove(same)
        yield _key("unique", plan.id, key, same, left)
    for n, check in enumerate(source.checks, 1):
        yield _check(plan, check, n, left)
    # Those that are built were taken over in their order, whatever became of their names.
    built = iter(target.indexes)
    for index in source.indexes:
        if plan.append is not None:
            match = next((i for i in target.indexes if i.name == index.name), None)
        else:
            match = None if ("index", f"{plan.id}.{index.name}") in left else next(built, None)
        yield _index(plan.id, index, match, left)
    for foreign in source.foreign_keys:
        yield _foreign(plan, foreign, names, left)
    if source.comment:
        label = f"table {plan.id}"
        yield _either("comment", label, target.comment is not None, left)


def _either(kind: str, name: str, there: bool, left: _Left, how: str = "") -> Item:
    if there:
        return Item(kind, name, Fate.CHANGED if how else Fate.MIGRATED, how)
    return Item(kind, name, Fate.LEFT, left.get((kind, name), "the target's table is as it was"))


def _column(table: model.TablePlan, column: catalog.Column, plan: model.ColumnPlan | None) -> Item:
    name = f"{table.id}.{column.name}"
    if plan is None:  # computed there, too
        return Item("column", name, Fate.MIGRATED)
    how = []
    if plan.target != plan.source:
        how.append(f"becomes {plan.target}")
    if column.generated is not None:
        there = table.target.column(plan.target).generated
        how.append(f"computed there as {there}" if there else "computed on the source, a plain column on the target")
    exact = plan.there is plan.back is types.Verdict.EXACT
    if not exact or (plan.reason and plan.source_native != plan.target_native):
        how.append(f"{plan.source_native} becomes {plan.target_native}: {plan.there} there, {plan.back} back")
    return Item("column", name, Fate.CHANGED if how else Fate.MIGRATED, "; ".join(how))


def _parts(table: str, column: catalog.Column, there: catalog.Column | None, left: _Left) -> Iterator[Item]:
    name = f"{table}.{column.name}"
    if column.default is not None and column.default.kind != "null" and column.generated is None:
        if there is not None and there.default is None and there.identity is not None:
            yield Item("default", name, Fate.CHANGED, "the column numbers itself")
        else:
            yield _either("default", name, there is not None and there.default is not None, left)
    if column.comment:
        yield _either("comment", f"column {name}", there is not None and there.comment is not None, left)


def _key(kind: str, table: str, key: catalog.Key, there: catalog.Key | None, left: _Left) -> Item:
    name = f"{table}.{key.name or ', '.join(key.columns)}"
    how = []
    if there is not None and key.name and there.name != key.name:
        how.append(f"becomes {there.name}")
    if there is not None and key.deferrable and not there.deferrable:
        how.append("checked at once")
    if there is not None and not key.nulls_distinct and there.nulls_distinct:
        how.append("NULLs are not equal")
    return _either(kind, name, there is not None, left, "; ".join(how))


def _check(plan: model.TablePlan, check: catalog.Check, n: int, left: _Left) -> Item:
    name = f"{plan.id}.{check.name or f'check {n}'}"
    if ("check", name) in left:
        return Item("check", name, Fate.LEFT, left["check", name])
    kept = any(c.name == check.name or (not check.name and c.name.endswith(f"_check{n}")) for c in plan.target.checks)
    if kept or plan.append is not None:
        there = next((c.sql for c in plan.target.checks if c.name == check.name), check.sql)
        return _either("check", name, kept, left, f"becomes {there}" if _bare(there) != _bare(check.sql) else "")
    by_name = any(c.sql == check.sql or check.name[:40] == c.name[:40] for c in plan.target.checks)
    return Item("check", name, Fate.CHANGED, "under a shorter name" if by_name else "its column's type says the same")


def _bare(sql: str) -> str:
    """Return an expression without what makes no other one of it: quotes, parentheses, blanks, PostgreSQL's casts."""
    return re.sub(r"::[\w ]+(\([\d, ]+\))?(\[\])?|[\s()\"`]", "", sql).lower()


def _index(table: str, index: catalog.Index, there: catalog.Index | None, left: _Left) -> Item:
    name = f"{table}.{index.name}"
    if there is None:
        return _either("index", name, False, left)
    cut = [
        c.name for c, s in zip(there.columns, index.columns, strict=False) if c.prefix is not None and s.prefix is None
    ]
    whole = [
        c.name for c, s in zip(there.columns, index.columns, strict=False) if c.prefix is None and s.prefix is not None
    ]
    over = [
        str(c.expression)
        for c, s in zip(there.columns, index.columns, strict=False)
        if c.expression is not None and c.expression != s.expression
    ]
    how = [f"becomes {there.name}"] if there.name != index.name else []
    how += [f"over the whole of {', '.join(n or '' for n in whole)}"] if whole else []
    how += [f"over {', '.join(over)}"] if over else []
    how += [f"holds the first characters of {', '.join(n or '' for n in cut)}"] if cut else []
    if index.include and not there.include:
        how.append(f"without {', '.join(index.include)}, which it only carried along")
    if index.where and index.where != there.where:
        how.append(f"its condition becomes {there.where}")
    return _either("index", name, True, left, "; ".join(how))


def _foreign(plan: model.TablePlan, key: catalog.ForeignKey, names: Mapping[str, str], left: _Left) -> Item:
    for name in (f"{plan.id}.{key.name or ', '.join(key.columns)}", f"{plan.id}.{key.name}"):
        if ("foreign key", name) in left:
            return Item("foreign key", name, Fate.LEFT, left["foreign key", name])
    own = tuple(names.get(c, c) for c in key.columns)
    matches = [k for k in plan.target.foreign_keys if k.columns == own]
    there = next((k for k in matches if k.name == key.name), matches[0] if matches else None)
    name = f"{plan.id}.{key.name or ', '.join(key.columns)}"
    if there is None:
        # A name of the plan's own stands where the source has none.
        unnamed = next((r for (k, n), r in left.items() if k == "foreign key" and n.startswith(f"{plan.id}.")), "")
        return Item("foreign key", name, Fate.LEFT, unnamed or "the target's table is as it was")
    how = []
    if key.name and there.name != key.name:
        how.append(f"becomes {there.name}")
    how += [
        f"{event} {was} becomes {now}"
        for event, was, now in (
            ("ON DELETE", key.on_delete, there.on_delete),
            ("ON UPDATE", key.on_update, there.on_update),
        )
        if was != now
    ]
    if key.deferrable and not there.deferrable:
        how.append("checked at once")
    return _either("foreign key", name, True, left, "; ".join(how))
