"""The way back of some tables while the others stay: what has to come along, and the list of guarded statements."""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sensei import catalog, crashpoints, rollback
from sensei.engines import base, ledger, ledger_attempts
from sensei.plan import model, steps, steps_append, steps_existing
from sensei.work import sides


@dataclass(frozen=True)
class Scope:
    """What one rollback of some tables takes back."""

    number: int  #: 1, 2, 3…: names the place of evidence, and the line in the ledger that says it is done
    tables: frozenset[str]  #: ids of the tables, with all that come along


def along(plan: model.Plan, engine: base.Engine, asked: Collection[str], done: Collection[str]) -> dict[str, str]:
    """Return the tables that have to come along with those asked for: table -> why, in words.

    These are the migrated tables with a foreign key in place that points at one of them, and those that draw numbers
    from a sequence which goes with one of them; and theirs in turn. `done` are the steps that took effect.
    """
    drawers = _drawers(plan)
    pulls: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
    ids = {t.target.name: t.id for t in plan.tables}
    for table in plan.tables:
        made = f"create_table:{table.id}" in done or f"merge:{table.id}" in done
        for key in table.target.foreign_keys:
            # Where keys can't be added to a loaded table, they came with it; the target's own table has its own.
            built = (
                made
                if table.append or not engine.capabilities.keys_after_load
                else f"foreign_key:{table.id}:{key.name}" in done
            )
            parent = ids.get(key.table)
            if built and parent is not None:
                pulls[parent].append((table.id, f"its foreign key {key.name} points at {parent}"))
        for owner, sequence in drawers.get(table.id, ()) if made else ():
            pulls[owner].append((table.id, f"it draws numbers from the sequence {sequence}, which goes with {owner}"))
    found: dict[str, str] = {}
    look = collections.deque(asked)
    while look:
        for child, why in pulls[look.popleft()]:
            if child not in asked and child not in found:
                found[child] = why
                look.append(child)
    return found


def _drawers(plan: model.Plan) -> dict[str, list[tuple[str, str]]]:
    """Return, of each table whose defaults draw from sequences of other tables, (the other table, the sequence)."""
    ids = {t.target.name: t.id for t in plan.tables}
    owners = {str(s.name): ids.get(s.owner[0]) for s in plan.sequences if s.owner is not None}
    found: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
    for table in plan.tables:
        for column in table.target.columns:
            if column.default is None or column.default.kind != "nextval":
                continue
            owner = owners.get(column.default.value or "")
            if owner is not None and owner != table.id:
                found[table.id].append((owner, str(column.default.value)))
    return found


def own_steps(plan: model.Plan, tables: Collection[str]) -> list[model.Step]:
    """Return the steps that belong to these tables, and to the sequences that go with them, in the plan's order."""
    ids = {t.target.name: t.id for t in plan.tables}
    tables = frozenset(tables)
    theirs = {str(s.name) for s in plan.sequences if s.owner is not None and ids.get(s.owner[0]) in tables}
    bound = set(_hanging(plan, tables))

    def own(step: model.Step) -> bool:
        if step.kind == "rebind":
            return int(step.detail["hanging"]) in bound
        if step.kind == "set_aside_existing" and step.table is None:
            held = plan.held[int(step.detail["held"])]
            return held.kind == "sequence" and str(held.name) in theirs
        if step.kind == "create_view":
            return not tables.isdisjoint(plan.view(step.object).tables)
        return step.table in tables or (step.kind == "create_sequence" and step.object in theirs)

    return [s for s in plan.steps if own(s)]


def _hanging(plan: model.Plan, tables: Collection[str]) -> list[int]:
    """Return which of the plan's dependants hang on the target's own tables that these replaced."""
    held = {
        plan.held[int(s.detail["held"])].name
        for s in plan.steps
        if s.kind == "set_aside_existing" and s.table in tables
    }
    return [n for n, h in enumerate(plan.hanging) if held & {name for name, _ in h.uses}]


def again(plan: model.Plan, tables: Collection[str]) -> list[model.Step]:
    """Return every step that a resume has to take again: the tables' own, and what looks at all tables together."""
    own = {s.id for s in own_steps(plan, tables)}
    return [s for s in plan.steps if s.id in own or s.kind in ("analyze", "prove")]


def statements(
    plan: model.Plan, engine: base.Engine, migration: str, evidence: str, scope: Scope
) -> list[base.Guarded]:
    """Return what takes the tables' steps back, last step first."""
    keep = rollback.keeps(plan, evidence)
    place = rollback.evidence_name(migration, scope.number) if keep else None
    mine = [t for t in plan.tables if t.id in scope.tables]
    names = {t.target.name for t in mine}
    result = list(engine.undo.place(migration, place))
    if place is not None:
        for table in mine:
            keys = [k for k in table.target.foreign_keys if k.table not in names]
            result += engine.undo.detach(migration, f"create_table:{table.id}", table.target, keys)
    # No step of this name made the statistics: those of other tables stay.
    made_here = sorted(t.target.name for t in mine if t.append is None)
    result += engine.undo.forget_statistics(migration, "", made_here) if made_here else []
    for step in reversed(own_steps(plan, scope.tables)):
        result += steps.undo(plan, step, engine, migration, place)
    # What hangs on one that stays as well is bound by its text, which names both.
    made = {t.target.name: f"create_table:{t.id}" for t in mine}
    for n in _hanging(plan, scope.tables):
        result += steps_existing.put_back(plan, plan.hanging[n], engine, migration, place or "", made)
    return rollback.stops_first(engine, result)


def kept(plan: model.Plan, tables: Collection[str]) -> list[tuple[str, catalog.TableName]]:
    """Return (kind, name) of the tables and sequences that are set aside, as they were called."""
    own = {s.id for s in own_steps(plan, tables)}
    found = [
        (kind, name) for step, kind, name in steps.objects(plan) if step.id in own and kind not in steps.NEVER_KEPT
    ]
    return found + [(steps_append.ROWS, t.target.name) for t in plan.tables if t.append and t.id in tables]


def walk(
    plan: model.Plan,
    side: sides.Side,
    session: base.Session,
    book: ledger.Ledger,
    evidence: str,
    scope: Scope,
    epoch: int,
    say: Callable[[str], None],
) -> Mapping[str, Any]:
    """Take the tables back, or find that it is done; returns what the ledger then says of it.

    In one transaction where the engine can roll DDL back and bears it; see `rollback.together`. Each statement looks
    first whether it is still to be done, and the ledger's line comes last: cut off anywhere, the same call goes on.
    """
    due = statements(plan, side.engine, book.migration, evidence, scope)
    undone = [s.id for s in again(plan, scope.tables)]
    walked = rollback.Walked()
    with sides.told("target", side.name):
        before = book.taken_back(session).get(scope.number)
        if before is not None:
            return before
        if not side.engine.capabilities.transactional_ddl:
            rollback.settle_begun(plan, side, session, book)
            rollback.run_due(due, session, walked, say)
            due = []
        made = {(kind, name) for _, kind, name, _ in book.objects(session)}

        def end(done: Sequence[str]) -> None:
            facts = {
                "tables": sorted(scope.tables),
                "statements": [*walked.done, *done],
                "kept": [[k, n.schema, n.name] for k, n in kept(plan, scope.tables) if (k, n) in made]
                if rollback.keeps(plan, evidence)
                else [],
            }
            book.take_back(session, undone)
            book.record_step(session, f"{ledger_attempts.TAKEN_BACK}{scope.number}", facts)
            crashpoints.reach("partial:commit:before")

        rollback.together(due, side.engine, session, walked, say, lambda: book.hold_epoch(session, epoch), end)
        crashpoints.reach("partial:commit:after")
    return book.taken_back(session)[scope.number]
