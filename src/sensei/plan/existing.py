"""What the target has already under planned names: refused, or set aside with all that hangs on it considered."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from sensei import catalog, errors
from sensei.engines import base, keeping
from sensei.plan import home, model, names

#: Asks the target: what these tables and sequences are, and the words of all that hangs on the tables from outside.
Look = Callable[[Sequence[catalog.TableName], Sequence[catalog.TableName]], tuple[keeping.Holdings, Sequence[str]]]

#: What goes aside with its table and is not on the new one, as far as a catalog lists it.
_GOES = ("trigger", "policy", "rule", "grant", "row level security", "statistics", "exclusion constraint")


@dataclasses.dataclass(frozen=True)
class Standing:
    """What of the target stands under planned names."""

    tables: tuple[catalog.Table, ...] = ()
    sequences: tuple[catalog.Sequence, ...] = ()  #: that belong to no table which makes way itself
    others: tuple[str, ...] = ()  #: views and the like, in words


def standing(
    engine: base.Engine,
    found: catalog.Catalog,
    tables: Iterable[catalog.TableName],
    sequences: Iterable[catalog.TableName],
) -> Standing:
    """Return what has a planned name already."""
    fold = folder(engine)
    wanted_tables = {fold(t) for t in tables}
    wanted_sequences = {fold(s) for s in sequences} if engine.capabilities.has_schemas else set()
    wanted = wanted_tables | wanted_sequences
    mine = tuple(t for t in found.tables if fold(t.name) in wanted)
    own = {t.name for t in mine if fold(t.name) in wanted_tables}
    others = []
    for other in found.others:
        if other.kind in ("view", "materialized view"):
            schema, _, name = other.name.rpartition(".")
            if fold(catalog.TableName(schema, name)) in wanted:
                others.append(f"{other.kind} {other.name}")
    there = tuple(
        s
        for s in found.sequences
        if engine.capabilities.has_schemas and fold(s.name) in wanted and not (s.owner and s.owner[0] in own)
    )
    return Standing(mine, there, tuple(others))


def refuse(here: Standing, how: str) -> None:
    """Raise Refused where something stands in the way that `on_existing` does not deal with."""
    hits = [*(f"table {t.name}" for t in here.tables), *(f"sequence {s.name}" for s in here.sequences), *here.others]
    if how == "fail" and hits:
        raise errors.Refused(
            f"the target already has {', '.join(hits[:10])}{' …' if len(hits) > 10 else ''}, and on_existing is fail",
            hint="rename them, name another target.schema, or map them to other names under tables:",
            existing=hits,
        )
    if here.others:
        raise errors.Refused(
            f"the target already has {', '.join(here.others[:10])}: on_existing {how} is for tables only",
            hint="rename or drop them, or map the tables to other names under tables:",
            existing=list(here.others),
        )


def refuse_dangling(engine: base.Engine, found: catalog.Catalog, planned: Iterable[catalog.TableName]) -> None:
    """Raise Refused where a foreign key of the target's own waits for a table that the migration would make."""
    fold = folder(engine)
    there, wanted = {fold(t.name) for t in found.tables}, {fold(t) for t in planned}
    for table in found.tables:
        for fk in table.foreign_keys:
            if fold(fk.table) in wanted and fold(fk.table) not in there:
                raise errors.Refused(
                    f"the target's own table {table.name} has a foreign key to {fk.table}, which is not there yet:"
                    " it would bind to the migrated table and follow it away on rollback",
                    hint=f"take the foreign key off {table.name} first, or map {fk.table} to another name",
                )


def take_names(taken: names.Names, found: catalog.Catalog, leaving: Iterable[catalog.TableName]) -> None:
    """Mark the names of indexes, keys and views that stay on the target as used."""
    gone = set(leaving)
    for table in found.tables:
        if table.name in gone:
            continue
        taken.take(table.name.schema, table.name.name)
        keys = [table.primary, *table.uniques] if table.primary else list(table.uniques)
        if taken.capabilities.has_schemas:  # elsewhere keys have no names that count
            for key in keys:
                taken.take(table.name.schema, key.name)
        for index in table.indexes:
            taken.take(table.name.schema, index.name)
    for other in found.others:
        if other.kind in ("view", "materialized view"):
            schema, _, name = other.name.rpartition(".")
            taken.take(schema, name)


@dataclasses.dataclass(frozen=True)
class Holding:
    """What makes way, what hangs on it, and what an operator should know of that."""

    held: tuple[keeping.Held, ...] = ()
    hanging: tuple[keeping.Hanging, ...] = ()
    risks: tuple[model.Risk, ...] = ()


def hold(
    engine: base.Engine,
    found: catalog.Catalog,
    here: Standing,
    planned: Sequence[model.TablePlan],
    look: Look | None,
) -> Holding:
    """Return what `on_existing: replace` sets aside; raises Refused, naming it, where something can't be."""
    if not (here.tables or here.sequences):
        return Holding()
    if engine.keep is None or look is None:
        raise errors.NotYet(f"on_existing replace is not carried out yet on {engine.name}")
    holdings, words = look([t.name for t in here.tables], [s.name for s in here.sequences])
    known = {h.words for h in holdings.hanging}
    own = {words for h in holdings.held for words in h.own}
    hinders = [*holdings.hinders, *(w for w in words if w not in known | own)]
    fold = folder(engine)
    new = {fold(t.target.name): t for t in planned}
    for hanging in holdings.hanging:
        hinders += [f"{hanging.words} ({reason})" for reason in _unbound(engine, hanging, new, here.tables)]
    if hinders:
        raise errors.Refused(
            "the target's own tables can't be set aside, because what hangs on them would follow or break: "
            + "; ".join(hinders[:10])
            + (" …" if len(hinders) > 10 else ""),
            hint="take these off first, leave the tables out, or map them to other names under tables:",
            dependents=hinders,
        )
    return Holding(holdings.held, holdings.hanging, tuple(_risks(engine, found, here, holdings, new)))


def hold_again(
    engine: base.Engine,
    found: catalog.Catalog,
    here: Standing,
    planned: Sequence[model.TablePlan],
    before: model.Plan,
) -> Holding:
    """Return what a plan holds that is made anew while some of its tables are at home: the same as before.

    Raises Refused, naming it, where what hangs on those at home can't be bound to the tables as they are planned now.
    """
    home = {t.name for t in here.tables}
    new = {folder(engine)(t.target.name): t for t in planned}
    mine = [
        dataclasses.replace(
            h, uses=tuple(u for u in h.uses if u[0] in home), needs=tuple(n for n in h.needs if n[0] in home)
        )
        for h in before.hanging
    ]
    hinders = [f"{h.words} ({reason})" for h in mine for reason in _unbound(engine, h, new, here.tables)]
    if hinders:
        raise errors.Refused(
            f"what hangs on the target's own tables can't be bound to the new ones: {'; '.join(hinders[:10])}",
            hint="map the columns that it uses as they were",
            dependents=hinders,
        )
    holdings = keeping.Holdings(before.held, tuple(h for h in mine if h.uses), ())
    return Holding(before.held, before.hanging, tuple(_risks(engine, found, here, holdings, new)))


def folder(engine: base.Engine) -> Callable[[catalog.TableName], tuple[str, str]]:
    sensitive = engine.capabilities.case_sensitive_names
    return lambda name: (name.schema, name.name if sensitive else name.name.lower())


def _unbound(
    engine: base.Engine,
    hanging: keeping.Hanging,
    new: Mapping[tuple[str, str], model.TablePlan],
    old: Sequence[catalog.Table],
) -> Iterable[str]:
    """Yield why a dependant can't be bound to the new tables."""
    fold = folder(engine)

    def same(a: str, b: str) -> bool:
        return a == b or (not engine.capabilities.case_sensitive_names and a.lower() == b.lower())

    for name, columns in hanging.uses:
        plan, was = new.get(fold(name)), next((t for t in old if t.name == name), None)
        if plan is None or was is None:
            yield f"it uses {name}, which is no table of the plan"
            continue
        for column in columns:
            mine = next((c for c in plan.target.columns if same(c.name, column)), None)
            before = next((c for c in was.columns if same(c.name, column)), None)
            if before is None:
                continue  # no column of the table, such as a hidden one
            if mine is None:
                yield f"it uses the column {column}, which the new {name} does not have"
            elif _is_bound_by_type(engine, hanging) and (home.plain(mine.native), mine.collation) != (
                home.plain(before.native),
                before.collation,
            ):
                both_whole = hanging.kind == "foreign_key" and mine.type.kind == before.type.kind
                if engine.capabilities.equal_key_types or not both_whole:
                    yield f"it uses {column} as {before.native}, which is {mine.native} in the new {name}"
    for name, columns in hanging.needs:
        plan = new.get(fold(name))
        if plan is not None and not any(_covers(key, columns, same) for key in _keys(plan.target)):
            listed = ", ".join(columns) or "its primary key"
            yield f"it needs a key on {listed}, which the new {name} does not have"


def _is_bound_by_type(engine: base.Engine, hanging: keeping.Hanging) -> bool:
    if hanging.kind == "view" and engine.capabilities.views_by_name:
        return False
    return engine.capabilities.enforced_types


def _covers(key: Sequence[str], columns: Sequence[str], same: Callable[[str, str], bool]) -> bool:
    return len(key) == len(columns) and all(any(same(c, k) for k in key) for c in columns)


def _keys(table: catalog.Table) -> Iterable[Sequence[str]]:
    if table.primary is not None:
        yield table.primary.columns
    for unique in table.uniques:
        yield unique.columns
    for index in table.indexes:
        plain = [c.name for c in index.columns if c.name is not None]
        if index.unique and not index.where and len(plain) == len(index.columns):
            yield plain


def _risks(
    engine: base.Engine,
    found: catalog.Catalog,
    here: Standing,
    holdings: keeping.Holdings,
    new: Mapping[tuple[str, str], model.TablePlan],
) -> Iterable[model.Risk]:
    fold = folder(engine)
    leaving = {t.name for t in here.tables}
    for table in here.tables:
        goes = [f"{o.kind} {o.name}" for o in found.others if o.table == table.name and o.kind in _GOES]
        reason = "the target has it already: it is set aside whole, and rollback brings it back"
        if goes:
            reason += f"; the new table will not have its {', '.join(goes[:10])}{' …' if len(goes) > 10 else ''}"
        plan = new.get(fold(table.name))
        yield model.Risk("medium" if goes else "info", plan.id if plan else str(table.name), None, reason)
        for fk in table.foreign_keys:
            if fk.table not in leaving and fk.on_delete not in ("NO ACTION", "RESTRICT"):
                yield model.Risk(
                    "medium",
                    plan.id if plan else str(table.name),
                    None,
                    f"while it is set aside its rows still follow {fk.table} (ON DELETE {fk.on_delete}): leave the rows"
                    f" of {fk.table} alone until you are sure",
                )
    for hanging in holdings.hanging:
        told = "bound to the new table once that is whole; rollback binds it to the old one again"
        if hanging.kind == "trigger" and not any(columns for _, columns in hanging.uses):
            # It finds the table by name, and nobody knows what else its words use.
            told = "it will act on the new table, and fails where that has not what it uses, until the old one is back"
        if hanging.kind == "foreign_key" and engine.capabilities.keys_after_load:
            checked = engine.capabilities.transactional_ddl
            told += ", which checks every row of its table again" if checked else ", taking its rows on trust"
        for name, _ in hanging.uses:
            plan = new.get(fold(name))
            yield model.Risk("info", plan.id if plan else str(name), None, f"{hanging.words}: {told}")


def places(engine: base.Engine, slots: Iterable[int], word: str) -> list[model.Step]:
    """Return the steps that make places, one for each schema that tables come from."""
    return [
        model.Step(
            f"keep_place:{word}:{slot}", "keep_place", f"sensei_{word}_…{f' {slot}' if slot > 1 else ''}", True,
            "drop it when it is empty", detail={"slot": slot, "word": word},
        )
        for slot in sorted(set(slots))
        if engine.keep is not None and engine.keep.place("mig", slot, word)
    ]  # fmt: skip


def first_steps(holding: Holding, engine: base.Engine, planned: Sequence[model.TablePlan]) -> list[model.Step]:
    """Return the steps that make way, in order; they come before anything is made."""
    if not holding.held or engine.keep is None:
        return []
    fold = folder(engine)
    ids = {fold(t.target.name): t.id for t in planned}
    steps = places(engine, (h.slot for h in holding.held), "kept")
    hanging = ", ".join(h.words for h in holding.hanging)
    steps.append(
        model.Step(
            "hold_dependents", "hold_dependents", hanging or "nothing hangs on these tables", True,
            "bind it to the old tables again" if hanging else "nothing to undo: it only looks",
        )
    )  # fmt: skip
    for n, held in enumerate(holding.held):
        table = ids.get(fold(held.name)) if held.kind == "table" else None
        steps.append(
            model.Step(
                f"set_aside_existing:{held.kind}:{held.name}", "set_aside_existing", f"{held.kind} {held.name}", True,
                "bring it back with everything on it", table, {"held": n},
            )
        )  # fmt: skip
    return steps


def last_steps(holding: Holding) -> list[model.Step]:
    """Return the steps that bind what hung on the old tables to the new ones, once those are whole."""
    return [
        model.Step(f"rebind:{n}:{h.words}", "rebind", h.words, True, "take it off the new table", detail={"hanging": n})
        for n, h in enumerate(holding.hanging)
    ]
