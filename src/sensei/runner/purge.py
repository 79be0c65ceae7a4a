"""Drops evidence for good, on request only."""

from __future__ import annotations

import contextlib
from typing import Any

from sensei import errors, rollback
from sensei.engines import base
from sensei.runner import desk as desks
from sensei.runner import taken
from sensei.work import slices


def due(desk: desks.Desk, migration: str) -> list[dict[str, Any]]:
    """Return what a migration still keeps as evidence in the target."""
    row = desk.store.migration(migration)
    return [e for e in desk.store.evidence(row.id) if not e["purged_at"]]


def _whole(engine: base.Engine, session: base.Session, number: int) -> contextlib.AbstractContextManager[object]:
    """Drop all or nothing where one transaction bears it; elsewhere a purge that is cut off is done again."""
    bears = engine.capabilities.locking_together is None or number <= engine.capabilities.locking_together
    return base.transaction(session) if engine.capabilities.transactional_ddl and bears else contextlib.nullcontext()


def purge(desk: desks.Desk, migration: str) -> list[dict[str, Any]]:
    """Drop it: tables set aside, and exported files; each is journaled."""
    from pathlib import Path

    loaded = desk.load(migration)
    items = due(desk, loaded.id)
    files = [e for e in items if e.get("kind") == "parquet"]
    tables = [e for e in items if e.get("kind") != "parquet"]
    if tables:
        _, target = loaded.sides()
        with target.session("sensei purge") as session, _whole(target.engine, session, len(tables)):
            if not loaded.book().exists(session):
                raise errors.WorldChanged(f"target {target.name} has no ledger of {loaded.id}")
            found = taken.taken(loaded)
            whole = (rollback.evidence_name(loaded.id, taken.next_number(found)), rollback.kept(loaded.plan))
            filled = {e["place"] for e in tables}
            for place, names in [*taken.places(loaded, found), whole]:
                if place in filled:
                    for statement in target.engine.undo.discard(place, names):
                        session.run(statement)
    for item in files:
        Path(str(item["place"])).unlink(missing_ok=True)
    for some in slices.of([item["id"] for item in items], slices.EVENTS):
        desk.store.purge_evidence_all(loaded.id, some, desk.actor)
    return items
