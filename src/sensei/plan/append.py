"""Rows for tables that the target has already: what must be alike so that they can be added and taken out again."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from sensei import catalog, errors
from sensei.catalog import types
from sensei.engines import base, merging
from sensei.plan import existing, model

#: Asks the target about tables to add to.
Look = Callable[[Sequence[catalog.TableName]], Mapping[catalog.TableName, merging.Addable]]

_KEYS = frozenset(
    {
        types.Kind.INTEGER, types.Kind.DECIMAL, types.Kind.TEXT, types.Kind.UUID, types.Kind.BYTES,
        types.Kind.BOOLEAN, types.Kind.DATE, types.Kind.TIME, types.Kind.TIMESTAMP, types.Kind.TIMESTAMPTZ,
    }
)  # fmt: skip
_WORD = re.compile(r'"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[^\W\d][\w$]*')


@dataclasses.dataclass(frozen=True)
class Added:
    """The plans of all tables, those that are added to in the target's shape, and what to know of them."""

    tables: tuple[model.TablePlan, ...]
    risks: tuple[model.Risk, ...] = ()


def fit(
    engine: base.Engine,
    found: catalog.Catalog,
    here: existing.Standing,
    planned: Sequence[model.TablePlan],
    look: Look | None,
) -> Added:
    """Return the plans with existing tables as they are there; raises Refused with every reason why one can't be."""
    if here.sequences:
        raise errors.Refused(
            f"the target already has {', '.join(f'sequence {s.name}' for s in here.sequences)}: on_existing append is"
            " for tables only",
            hint="drop or rename them, or leave out what draws from them",
        )
    if not here.tables:
        return Added(tuple(planned))
    if engine.merge is None or look is None:
        raise errors.NotYet(f"on_existing append is not carried out yet on {engine.name}")
    fold = existing.folder(engine)
    there = {fold(t.name): t for t in here.tables}
    addable = look([t.name for t in here.tables])
    slots = {schema: n for n, schema in enumerate(sorted({t.name.schema for t in here.tables}), 1)}
    hinders: list[str] = []
    tables: list[model.TablePlan] = []
    risks: list[model.Risk] = []
    for plan in planned:
        mine = there.get(fold(plan.target.name))
        if mine is None:
            tables.append(plan)
            continue
        fitted = _Fitting(engine, plan, mine, addable[mine.name], slots[mine.name.schema], found)
        hinders += [f"{mine.name}: {reason}" for reason in fitted.reasons()]
        if fitted.key:
            tables.append(fitted.plan())
            risks += fitted.risks()
    if not hinders:
        hinders = list(_circles(tables))
    if hinders:
        raise errors.Refused(
            "rows can't be added to the target's own tables so that they can be taken out again: "
            + "; ".join(hinders[:10])
            + (" …" if len(hinders) > 10 else ""),
            hint="mend these, leave the tables out, map them to other names or columns under tables:, or use"
            " on_existing: replace",
            reasons=hinders,
        )
    return Added(tuple(tables), tuple(risks))


def parents(tables: Sequence[model.TablePlan]) -> tuple[list[model.TablePlan], list[model.NotMigrated]]:
    """Return the plans without those foreign keys for which a table that is added to has no key, and name these."""
    own = {t.target.name: t.target for t in tables if t.append is not None}
    left: list[model.NotMigrated] = []
    result = []
    for table in tables:
        kept = []
        for key in table.target.foreign_keys if table.append is None else ():
            to = own.get(key.table)
            if to is None or any(set(k) == set(key.references) for k in _unique(to)):
                kept.append(key)
                continue
            reason = f"the target's own table {key.table} has no unique key on {', '.join(key.references)}"
            left.append(model.NotMigrated("foreign key", f"{table.id}.{key.name}", reason, key.definition))
        if table.append is None:
            table = dataclasses.replace(table, target=dataclasses.replace(table.target, foreign_keys=tuple(kept)))
        result.append(table)
    return result, left


def first_steps(engine: base.Engine, tables: Sequence[model.TablePlan]) -> list[model.Step]:
    """Return the steps that make places and stages."""
    mine = [(t, t.append) for t in tables if t.append is not None]
    steps = [s for word in merging.PLACES for s in existing.places(engine, (a.slot for _, a in mine), word)]
    return steps + [
        model.Step(f"create_stage:{t.id}", "create_stage", str(t.target.name), True, "drop it", t.id) for t, _ in mine
    ]


def last_steps(tables: Sequence[model.TablePlan]) -> list[model.Step]:
    """Return the steps that bring the staged rows in: tables come after those that they point at."""
    mine = in_order([t for t in tables if t.append is not None])
    back = "take the added rows out, give overwritten ones their old values"
    return [
        *(model.Step(f"merge:{t.id}", "merge", str(t.target.name), True, back, t.id, {"rows": t.rows}) for t in mine),
        *(
            model.Step(
                f"drop_stage:{t.id}", "drop_stage", str(t.target.name), True, "nothing to undo: it was a copy", t.id
            )
            for t in mine
        ),
    ]


class _Fitting:
    """One table: the plan's columns laid over those of the target's own table."""

    def __init__(
        self,
        engine: base.Engine,
        plan: model.TablePlan,
        table: catalog.Table,
        addable: merging.Addable,
        slot: int,
        found: catalog.Catalog,
    ) -> None:
        self.engine, self.planned, self.table = engine, plan, table
        self.addable, self.slot, self.found = addable, slot, found
        sensitive = engine.capabilities.case_sensitive_columns
        self.sensitive = engine.capabilities.case_sensitive_names if sensitive is None else sensitive
        mine = {self.fold(c.name): c for c in table.columns}
        self.pairs = [(c, mine.get(self.fold(c.target))) for c in plan.columns]
        self.carried = {self.fold(c.name) for _, c in self.pairs if c is not None}
        self.key = self._key()

    def fold(self, name: str) -> str:
        return name if self.sensitive else name.lower()

    # -- what hinders

    def reasons(self) -> Iterable[str]:
        yield from self.addable.hinders
        for column, mine in self.pairs:
            if mine is None:
                yield f"it has no column {column.target}"
            elif mine.generated is not None:
                yield f"it computes its column {mine.name}"
            elif (reason := self._misfit(column, mine)) is not None:
                yield f"its column {mine.name} {reason}"
        for mine in self.table.columns:
            if self.fold(mine.name) in self.carried or mine.generated is not None:
                continue
            if not mine.nullable and mine.default is None and mine.identity is None:
                yield f"its column {mine.name} must have a value, and the source has none for it"
        if not self.key:
            yield (
                "source and target share no unique key without NULLs, of plain types compared as they are: without one"
                " nobody could tell which rows were added"
            )
            return
        for incoming in self.addable.incoming:
            if {self.fold(c) for c in incoming.references} - {self.fold(c) for c in self.key}:
                yield f"{incoming.words} points at other columns than the key ({', '.join(self.key)})"

    def _misfit(self, column: model.ColumnPlan, mine: catalog.Column) -> str | None:
        if column.target_native == mine.native or column.source_native == mine.native:
            return None
        given, to = column.source_type, mine.type
        if to.kind is types.Kind.ANY:
            return None
        if given.kind is types.Kind.UUID and to.kind is types.Kind.TEXT and not self.engine.capabilities.enforced_types:
            return None
        if given.kind is not to.kind or given.kind in (types.Kind.NATIVE, types.Kind.UNSUPPORTED):
            return f"is {mine.native or 'of no type'}, which is another kind of value than {given}"
        if not self.engine.capabilities.enforced_types:
            return None  # whatever does not fit is turned away, never changed
        return _narrower(given, to, mine.native)

    # -- the key

    def _key(self) -> tuple[str, ...]:
        source_of = {self.fold(c.target): c.source for c, mine in self.pairs if mine is not None}
        unique = [set(k) for k in _unique(self.planned.source)]
        for columns in _unique(self.table):
            names = [self.fold(c) for c in columns]
            if not all(n in source_of for n in names) or {source_of[n] for n in names} not in unique:
                continue
            if all(self._is_plain(self.table.column(c)) for c in columns):
                return tuple(columns)
        return ()

    def _is_plain(self, column: catalog.Column) -> bool:
        # Where each text has a collation (MariaDB), the type says whether it tells all texts apart.
        collated = column.collation is not None and column.type.folds is not False
        if column.nullable or collated or column.type.folds or column.type.kind not in _KEYS:
            return False
        return column.type.kind is not types.Kind.DECIMAL or column.type.scale is not None

    # -- the plan

    def plan(self) -> model.TablePlan:
        columns = tuple(
            dataclasses.replace(
                c,
                target=mine.name,
                target_native=mine.native,
                there=c.there if c.target_native == mine.native else types.Verdict.WIDENING,
                reason=c.reason if c.target_native == mine.native else f"the target's own column is {mine.native}",
            )
            for c, mine in self.pairs
            if mine is not None
        )
        form = self.planned.form
        if form is base.Form.BINARY and any(c.source_native != c.target_native for c in columns):
            form = base.Form.TEXT  # binary values are only understood by the very same type
        sequences = {
            s.owner[1]: s.name for s in self.found.sequences if s.owner is not None and s.owner[0] == self.table.name
        }
        append = model.Append(
            key=self.key,
            slot=self.slot,
            others=tuple(
                c.name for c in self.table.columns if self.fold(c.name) not in self.carried and c.generated is None
            ),
            uniques=tuple(self._uniques()),
            incoming=self.addable.incoming,
            checks=self.checks(),
            counters=tuple(
                (c.name, self.engine.ddl.qualified(sequences[c.name]))
                for c in self.table.columns
                if c.name in sequences
            ),
        )
        return dataclasses.replace(self.planned, target=self.table, columns=columns, form=form, append=append)

    def _uniques(self) -> Iterable[catalog.Index]:
        """Yield the table's further unique keys, as far as carried columns say what a row has under them."""
        keys = [k for k in (self.table.primary, *self.table.uniques) if k is not None]
        indexes = [
            catalog.Index(
                k.name, tuple(catalog.IndexColumn(c) for c in k.columns), unique=True, nulls_distinct=k.nulls_distinct
            )
            for k in keys
        ]
        for index in (*indexes, *(i for i in self.table.indexes if i.unique and i.valid)):
            plain = [c.name for c in index.columns]
            if None not in plain and not index.where and set(plain) == set(self.key):
                continue
            words = " ".join(
                [index.where or "", *((c.expression or self.engine.ddl.quote(c.name or "")) for c in index.columns)]
            )
            if not self._names(words) - self.carried:
                yield index

    def _names(self, words: str) -> set[str]:
        """Return which of the table's columns an expression may name."""
        said = {self.fold(w.strip('"`[]').replace('""', '"')) for w in _WORD.findall(words)}
        return {self.fold(c.name) for c in self.table.columns} & said

    def checks(self) -> tuple[catalog.Check, ...]:
        """Return the checks that carried columns alone decide."""
        return tuple(c for c in self.table.checks if not self._names(c.sql) - self.carried)

    def risks(self) -> Iterable[model.Risk]:
        size = self.planned.source.bytes_estimate
        yield model.Risk(
            "medium",
            self.planned.id,
            None,
            f"{self.planned.rows:,} rows are added to the target's own table by ({', '.join(self.key)}); rows of a key"
            " that is there are overwritten, and kept. Until they are in they lie in a stage, and rollback copies them"
            f" aside: {size / 1e6:.1f} MB each, and as much again for rows that are overwritten; taking them out costs"
            f" per row, about {self.planned.rows * self.engine.capabilities.seconds_per_row_back + 0.1:.1f} s",
        )
        if self.addable.silent:
            yield model.Risk(
                "medium", self.planned.id, None,
                f"these do not fire for rows that are added or taken out: {', '.join(self.addable.silent)}",
            )  # fmt: skip
        others = [c for c in self.table.columns if self.fold(c.name) not in self.carried and c.generated is None]
        if others:
            yield model.Risk(
                "info", self.planned.id, None,
                f"the source has nothing for {', '.join(c.name for c in others)}: new rows get the default, overwritten"
                " ones keep what they have",
            )  # fmt: skip
        was = self.planned.target
        left = [k.name for k in was.uniques] + [k.name for k in was.checks]
        left += [k.name for k in was.indexes] + [k.name for k in was.foreign_keys]
        if left:
            yield model.Risk(
                "info", self.planned.id, None,
                "the target's own keys, indexes and constraints stay; none of the source's is added"
                f" ({', '.join(n for n in left if n)})",
            )  # fmt: skip


def _narrower(given: types.LogicalType, to: types.LogicalType, native: str) -> str | None:
    """Return why a type of the same kind would change a value instead of refusing it."""
    of, was = to.native.partition(" ")[0], given.native.partition(" ")[0]
    if of in ("enum", "set", "year") and of != was:
        return f"is {native}, which would change values that it takes for its own"
    if of == "char" and was != "char" and not given.fixed:
        return f"is {native}, which would cut blanks off the end of {given}"
    match given.kind:
        case types.Kind.DECIMAL if to.scale is not None and to.precision is not None:
            if given.scale is None or given.scale > to.scale:
                return f"is {native}, which would round {given}"
        case types.Kind.FLOAT if (to.bits or 64) < (given.bits or 64):
            return f"is {native}, which would round {given}"
        case types.Kind.TEXT | types.Kind.BYTES if to.fixed and not (given.fixed and given.length == to.length):
            return f"is {native}, which would pad the values"
        case types.Kind.TEXT if to.length is not None and (given.length is None or given.length > to.length):
            return f"is {native}, which would cut blanks off the end of {given}"
        case types.Kind.TIME | types.Kind.TIMESTAMP | types.Kind.TIMESTAMPTZ:
            if (6 if to.precision is None else to.precision) < (6 if given.precision is None else given.precision):
                return f"is {native}, which would round {given}"
    return None


def _unique(table: catalog.Table) -> Iterable[tuple[str, ...]]:
    """Yield the column lists under which no two rows are alike, the primary key first."""
    if table.primary is not None:
        yield table.primary.columns
    for key in table.uniques:
        if not key.deferrable:
            yield key.columns
    for index in table.indexes:
        names = tuple(c.name for c in index.columns if c.name is not None and c.collation is None)
        if index.unique and index.valid and not index.where and len(names) == len(index.columns):
            yield names


def _circles(tables: Sequence[model.TablePlan]) -> Iterable[str]:
    ordered = {t.id for t in in_order([t for t in tables if t.append is not None])}
    left = [str(t.target.name) for t in tables if t.append is not None and t.id not in ordered]
    if left:
        yield f"their foreign keys go round in a circle: {', '.join(left)}"


def in_order(tables: Sequence[model.TablePlan]) -> list[model.TablePlan]:
    """Return tables with those before them that they point at; tables in a circle are left out."""
    by_name = {t.target.name: t for t in tables}
    waiting = {
        name: {k.table for k in t.target.foreign_keys if k.table in by_name and k.table != name}
        for name, t in by_name.items()
    }
    result: list[model.TablePlan] = []
    children: dict[catalog.TableName, list[catalog.TableName]] = {}
    for name, parents in waiting.items():
        for parent in parents:
            children.setdefault(parent, []).append(name)
    ready = [name for name, parents in waiting.items() if not parents]
    while ready:
        name = ready.pop(0)
        result.append(by_name[name])
        for child in children.get(name, ()):
            waiting[child].discard(name)
            if not waiting[child]:
                ready.append(child)
    return result
