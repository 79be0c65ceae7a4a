"""Takes a migration over from the ledger in its target, where the home that it was made in is lost."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sensei import catalog, errors, rollback
from sensei.config import home
from sensei.config import migration as configuration
from sensei.engines import base, ledger
from sensei.journal import migrations, store
from sensei.plan import model, steps, steps_append, steps_existing
from sensei.runner import desk as desks
from sensei.runner import hold, progress, script, taken
from sensei.states import State, StepState, TableState
from sensei.work import sides, slices


@dataclass(frozen=True)
class Recovered:
    """One migration that this home has now."""

    id: str
    name: str
    status: State
    verifiable: bool  #: the fingerprint was in the ledger, so that a rollback can be proven
    missing: tuple[str, ...]  #: connections that the migration names and this home does not know


def recover(desk: desks.Desk, connection: str, migration: str | None) -> list[Recovered]:
    """Rebuild in this home what the ledger behind a connection knows: one migration, or all that are not here yet.

    Cut off anywhere, the same command goes on. Nothing is written to the target.
    Raises UnknownName where there is nothing to recover, BadInput for a migration that this home has already,
    WorldChanged for a ledger that can't be read.
    """
    target = desk.side(base.Purpose.TARGET, connection, {})
    with _reading(target) as session:
        found = ledger.known(target.engine, session)
        if migration is not None:
            found = [k for k in found if k.id == migration] or [k for k in found if k.id.startswith(migration)]
            if len(found) > 1:
                raise errors.UnknownName(
                    f"{migration} is the beginning of several migrations: {', '.join(k.id for k in found)}",
                    hint="give more of the id",
                )
        wanted = [k for k in found if not _here(desk, k.id)]
        if found and migration is not None and not wanted:
            raise errors.BadInput(
                f"this home has {found[0].id} already", hint=f"sensei migrations status {found[0].id}"
            )
        if not wanted:
            raise errors.UnknownName(
                f"target {connection} has no ledger of "
                + (migration if migration is not None else "a migration that this home does not have already"),
                hint="check with sensei connections list that this is the database that was migrated into",
            )
        return [_one(desk, target, session, known) for known in wanted]


@contextlib.contextmanager
def _reading(target: sides.Side) -> Iterator[base.Session]:
    """Open the target as a source is opened: nothing can be written, not even a file that is not there."""
    with sides.told("target", target.name):
        session = target.engine.connect(target.url, base.Purpose.SOURCE, application="sensei recover")
        try:
            yield session
        finally:
            session.close()


def _here(desk: desks.Desk, migration: str) -> bool:
    """Tell whether this home has a migration, and not only the beginning of its recovery."""
    row = next((m for m in desk.store.migrations() if m.id == migration), None)
    if row is None:
        return False
    return "recovered" not in row.plan or any(e.kind == store.RECOVERED for e in desk.store.events(row.id))


def _one(desk: desks.Desk, target: sides.Side, session: base.Session, known: ledger.Known) -> Recovered:
    if known.version > ledger.VERSION:
        raise errors.WorldChanged(
            f"the ledger of {known.id} was written by a newer Sensei (version {known.version} of its tables)",
            hint="upgrade Sensei, then recover again",
        )
    config = _make(desk, target, known)
    with hold.hold(desk, known.id):
        loaded = desk.load(known.id)
        book = ledger.Ledger(target.engine, known.id)
        facts = book.steps(session)
        _journal(desk, loaded, target, session, book, facts)
        taken.recover(loaded, book.taken_back(session), facts)
        _settle(desk, loaded, target, session, book, known.state)
        _progress(desk, loaded, session, book)
        script.renew(desk.load(known.id), f"recovered from {target.name}")
        desk.store.append(known.id, store.RECOVERED, {"steps": len(facts)}, desk.actor)
    named = dict(config.connections)
    there = {**desk.book.list(), **named}
    missing = tuple(n for n in (config.source.connection, config.target.connection) if n not in there)
    return Recovered(known.id, config.name, desk.store.migration(known.id).status, "fingerprint" in facts, missing)


def _make(desk: desks.Desk, target: sides.Side, known: ledger.Known) -> configuration.MigrationConfig:
    """Write the migration's row, and the file that it was planned with as far as it is in the ledger."""
    try:
        kept = json.loads(known.plan)
        plan = model.Plan.from_json(kept["plan"])
        config = configuration.MigrationConfig.model_validate_json(json.dumps(kept["config"]))
    except (ValueError, KeyError, TypeError) as error:
        raise errors.WorldChanged(
            f"the plan of {known.id} in the ledger can't be read: {error}",
            hint="the rollback script is in the ledger too, in the table scripts",
        ) from error
    if plan.token != known.token:
        raise errors.WorldChanged(f"the plan of {known.id} in the ledger is not the one that it was begun with")
    text = json.dumps(kept["config"], ensure_ascii=False, indent=2) + "\n"
    origin = {"connection": target.name, "source": known.source, "state": known.state}
    if not any(m.id == known.id for m in desk.store.migrations()):
        desk.store.create_migration(
            known.id,
            config.name,
            config.environment,
            text,
            config.digest(),
            {**kept, "path": "", "environment": config.environment, "recovered": origin},
            desk.actor,
            source_label=known.source,
            target_label=f"{target.name} {_shown(desk, target.name)}",
        )
    if desk.store.lease(known.id) is None:
        desk.store.continue_from(known.id, known.epoch, origin, desk.actor)
    home.private_file(home.artifacts(known.id) / "migration.yaml").write_text(text, encoding="utf-8")
    return config


def _shown(desk: desks.Desk, name: str) -> str:
    from sensei.config import connections

    return connections.mask(desk.book.get(name))


def _journal(
    desk: desks.Desk,
    loaded: desks.Loaded,
    target: sides.Side,
    session: base.Session,
    book: ledger.Ledger,
    facts: dict[str, dict[str, Any]],
) -> None:
    """Journal each step that took effect, in the plan's order; a copy counts as begun until a resume has settled it."""
    journaled = desk.store.steps(loaded.id)
    begun = {a.table for a in book.applied(session)}
    done: dict[str, dict[str, Any]] = {}
    half_way: dict[str, dict[str, Any]] = {}
    for step in loaded.plan.steps:
        if step.id in journaled:
            continue
        if step.id in facts or step.kind == "ledger":
            done[step.id] = facts.get(step.id) or {"target_identity": target.engine.introspect.identity(session)}
        elif step.kind == "copy" and step.table in begun:
            half_way[step.id] = {"object": step.object}
    for state, found in ((StepState.DONE, done), (StepState.BEGUN, half_way)):
        for some in slices.of(found.items(), slices.EVENTS):
            desk.store.step_all(loaded.id, state, dict(some), desk.actor)


def _settle(
    desk: desks.Desk,
    loaded: desks.Loaded,
    target: sides.Side,
    session: base.Session,
    book: ledger.Ledger,
    state: str,
) -> None:
    """Bring the migration to the state that the ledger tells of: rolled back, or at rest in the middle."""
    payload = {"reason": f"recovered from {target.name}"}

    def move(to: State, **more: Any) -> None:
        desk.store.transition(loaded.id, to, desk.actor, payload=payload, **more)

    status = loaded.status
    if status is State.PLANNED:
        move(State.RUNNING)
        status = State.RUNNING
    if state != "rolled_back":
        if status is State.RUNNING:
            move(State.PAUSED, returns_to=State.RUNNING)
        return
    if status is State.RUNNING:
        move(State.ROLLING_BACK)
        status = State.ROLLING_BACK
    if status is State.ROLLING_BACK:
        _undone(desk, loaded, target, session)
        move(State.ROLLED_BACK)


def _undone(desk: desks.Desk, loaded: desks.Loaded, target: sides.Side, session: base.Session) -> None:
    """Journal what was taken back, and what of it is still set aside."""
    place = rollback.evidence_name(loaded.id, taken.next_number(taken.taken(loaded)))
    known = {(e.get("object"), e.get("place")) for e in desk.store.evidence(loaded.id)}
    journaled = desk.store.steps(loaded.id)
    undone: dict[str, dict[str, Any]] = {}
    kept: list[dict[str, Any]] = []
    objects = list(steps.objects(loaded.plan))
    for step in loaded.plan.steps:
        touched = step.kind in steps_append.KINDS | steps_existing.KINDS and step.id in journaled
        if touched and journaled[step.id].state is not StepState.UNDONE:
            undone[step.id] = {"object": step.object}
        if step.kind == "merge":
            objects.append((step, steps_append.ROWS, loaded.plan.table(step.table or "").target.name))
    for step, kind, name in reversed(objects):
        if step.id in journaled and journaled[step.id].state is not StepState.UNDONE:
            undone[step.id] = {"object": str(name)}
        if kind in steps.NEVER_KEPT or (str(name), place) in known:
            continue
        aside = (
            catalog.TableName(place, name.name)
            if target.engine.capabilities.has_schemas
            else catalog.TableName("", f"{place}_{name.name}")
        )
        lies = "table" if kind == steps_append.ROWS else kind
        if target.engine.introspect.object_identity(session, lies, aside) is not None:
            kept.append({**taken.entry(loaded, kind, str(name), place), "connection": target.name})
    taken.enter(loaded, undone, kept)


def _progress(desk: desks.Desk, loaded: desks.Loaded, session: base.Session, book: ledger.Ledger) -> None:
    """Count what is in the target from its ledger, for status."""
    report = progress.Report(desk, loaded)
    before = loaded.fingerprint()
    if before is not None:
        report.counted(before.source.rows)
    applied = [a for a in book.applied(session) if a.number >= 0]
    for table in loaded.plan.tables:
        mine = [a for a in applied if a.table == table.id]
        planned = book.planned_chunks(session, table.id, mine[0].attempt) if mine else []
        if mine:
            row = report.tables[table.id]
            row["rows_quarantined"] = sum(a.rows_quarantined for a in mine)
            row["rows_copied"] = sum(a.rows_read for a in mine) - row["rows_quarantined"]
            row["chunks_done"], row["chunks_total"] = len(mine), len(planned)
            whole = len(mine) == len(planned) and planned[-1].upper is None
            row["status"] = str(TableState.COPIED if whole else TableState.COPYING)
        report.turned_out(table.id, book.quarantine_count(session, table.id, ledger.AFTER_LOAD))
    report.taken_back(taken.away(loaded, taken.taken(loaded)))


def next_command(found: Recovered) -> str:
    """Return what to do after a recovery."""
    if found.missing:
        return f"sensei connections add {found.missing[0]} URL"
    return migrations.next_command(found.status, found.id)
