"""Plans a migration: looks at both sides, writes to neither, and records the plan."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sensei import catalog, config, errors, plan
from sensei.config import connections, home
from sensei.config import migration as configuration
from sensei.engines import base, keeping, ledger, merging
from sensei.plan import append, existing, model, scoping, transformations
from sensei.runner import desk as desks
from sensei.runner import judging, left, probing, rehearsal, scanning, script, verdicts, world
from sensei.validation import preflight
from sensei.work import sides


def create(desk: desks.Desk, path: Path, environment: str | None, yes: bool) -> tuple[str, model.Plan]:
    """Return the new migration's id and plan."""
    loaded = config.load(path, environment, yes=yes)
    if environment is not None and not yes:
        rehearsal.refuse_real(desk, loaded, environment)
    for warning in loaded.warnings:
        desk.screen.say(f"note: {warning}")
    asked = loaded.config
    named = dict(asked.connections)
    source = desk.side(base.Purpose.SOURCE, asked.source.connection, named)
    target = desk.side(base.Purpose.TARGET, asked.target.connection, named)
    made = look(desk, asked, source, target)
    for problem in preflight.problems(scoping.of(made), asked.validation, path.parent, verdicts.places(str(path))):
        desk.screen.say(f"note: {problem}")
    middle = f"{environment}_" if environment else ""
    migration = f"mig_{middle}{secrets.token_hex(4)}"
    desk.store.create_migration(
        migration,
        asked.name,
        environment or asked.environment,
        loaded.text,
        loaded.digest,
        {"plan": made.to_json(), "config": plain(asked), "path": str(path.resolve()), "environment": environment},
        desk.actor,
        source_label=f"{source.name} {connections.mask(desk.book.get(source.name, named))}",
        target_label=f"{target.name} {connections.mask(desk.book.get(target.name, named))}",
    )
    kept = home.private_file(home.artifacts(migration) / "migration.yaml")
    kept.write_text(loaded.text, encoding="utf-8")
    left.write(migration, made)
    script.renew(desk.load(migration), "created")
    return migration, made


def plain(asked: configuration.MigrationConfig) -> dict[str, Any]:
    """Return a configuration as the store keeps it."""
    data: dict[str, Any] = asked.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return data


def look(desk: desks.Desk, asked: configuration.MigrationConfig, source: sides.Side, target: sides.Side) -> model.Plan:
    """Introspect both sides and return the plan; raises MissingPrivilege with the statement that grants it."""
    with source.session("sensei plan") as reading, target.session("sensei plan") as writing:
        with sides.told("source", source.name):
            from_identity = source.engine.introspect.identity(reading)
        with sides.told("target", target.name):
            to_identity = target.engine.introspect.identity(writing)
        desk.screen.say(f"looking at the source {source.name}")
        found = look_at_source(source, reading, asked, from_identity, target, writing)
        desk.screen.say(f"looking at the target {target.name}")
        with sides.told("target", target.name):
            there = target.engine.introspect.catalog(writing, None, plan.target_schemas(asked, found.catalog))
        notes = tuple(target.engine.notes(writing)) if target.engine.notes else ()
        other = plan.Found(
            target.engine,
            to_identity,
            there,
            look=_looker(target, writing),
            look_to_add=looker_to_add(target, writing),
            notes=notes,
        )
        made = scanning.scan(asked, plan.make(asked, found, other), source, reading, target)
        world.refuse_missing(
            "target",
            target,
            target.engine.introspect.missing_privileges(
                writing,
                base.Purpose.TARGET,
                [h.name for h in made.held if h.kind == "table"]
                + [h.name for h in made.hanging]
                + [t.target.name for t in made.tables if t.append is not None],
                made.target_schemas,
            ),
        )
    return made


def _looker(target: sides.Side, session: base.Session) -> existing.Look | None:
    keep = target.engine.keep
    if keep is None:
        return None

    def look_into(
        tables: Sequence[catalog.TableName], sequences: Sequence[catalog.TableName]
    ) -> tuple[keeping.Holdings, Sequence[str]]:
        with sides.told("target", target.name):
            return keep.look(session, tables, sequences), target.engine.introspect.dependents(session, tables)

    return look_into


def looker_to_add(target: sides.Side, session: base.Session) -> append.Look | None:
    """Return what answers the plan's questions about tables that rows are to be added to."""
    merge = target.engine.merge
    if merge is None:
        return None

    def look_into(tables: Sequence[catalog.TableName]) -> Mapping[catalog.TableName, merging.Addable]:
        with sides.told("target", target.name):
            return merge.look(session, tables)

    return look_into


def look_at_source(
    source: sides.Side,
    session: base.Session,
    asked: configuration.MigrationConfig,
    identity: str,
    target: sides.Side,
    writing: base.Session,
) -> plan.Found:
    """Return everything that the plan needs of the source; the target is asked what inverses make of its values."""
    schemas = list(asked.source.schemas) or None
    with sides.told("source", source.name):
        found = source.engine.introspect.catalog(session, schemas)
        for name in asked.source.schemas:
            if source.engine.capabilities.has_schemas and name not in found.schemas:
                there = source.engine.introspect.catalog(session, None).schemas
                raise errors.UnknownName(
                    f"source {source.name} has no schema {name}", hint=f"it has: {', '.join(there) or 'none'}"
                )
        _refuse_unknown_tables(asked, found)
        wanted = [t for t in found.tables if asked.source.selects(t.name.schema, t.name.name)]
        names = [t.name for t in wanted if t.kind in ("table", "partitioned")]
        readable = set(names)
        world.refuse_missing(
            "source",
            source,
            source.engine.introspect.missing_privileges(session, base.Purpose.SOURCE, names, found.schemas),
        )
        marker = source.engine.rows.marker(session)
        seen = transformations.transformed(
            asked, (t for t in wanted if t.name in readable), source.engine, target.engine
        )
        session.seen = {}
        probing.refuse_bad(source, session, seen)
        zeroed = scanning.zeroed(asked, (t for t in wanted if t.name in readable), seen, source, session, target.engine)
        if zeroed:
            seen = transformations.transformed(
                asked, (t for t in wanted if t.name in readable), source.engine, target.engine, zeroed
            )
        probes = probing.probe(source, session, target, writing, seen)
        orphans = probing.orphans(source, session, [t for t in wanted if t.name in readable], seen)
        session.seen = seen.sights
        raw = {t.name: t for t in wanted if t.name in seen.tables}
        wanted = [seen.tables.get(t.name, t) for t in wanted]
        found = dataclasses.replace(found, tables=tuple(seen.tables.get(t.name, t) for t in found.tables))
        facts = {t.name: source.engine.rows.profile(session, t) for t in wanted if t.name in readable}
        rows = {name: source.engine.rows.count(session, name) for name in names}
        plans = _plans(source.engine, session)
    return plan.Found(
        source.engine, identity, found, facts, rows, marker, plans,
        raw=raw, transformed=seen, probes=probes, orphans=orphans,
        judge=judging.judge(source, session, target, writing, seen.sights),
    )  # fmt: skip


def _plans(engine: base.Engine, session: base.Session) -> tuple[model.Plan, ...]:
    """Return the plans of migrations into this database, for what they tell of the tables' home; what can't be read
    is done without."""
    try:
        known = ledger.known(engine, session)
    except errors.MissingPrivilege:
        return ()
    found = []
    for migration in known:
        with contextlib.suppress(ValueError, KeyError):  # of another version
            if migration.state == "running":
                found.append(model.Plan.from_json(json.loads(migration.plan)["plan"]))
    return tuple(found)


def _refuse_unknown_tables(asked: configuration.MigrationConfig, found: catalog.Catalog) -> None:
    """A name without a wildcard that matches nothing is a mistake, not an empty set."""
    known = {t.name.name for t in found.tables} | {str(t.name) for t in found.tables}
    for pattern in (*asked.source.include_tables, *asked.source.exclude_tables):
        if not set(pattern) & set("*?[") and pattern not in known:
            raise errors.UnknownName(
                f"the source has no table {pattern}",
                hint="it has: " + ", ".join(sorted(str(t.name) for t in found.tables)[:20]),
                table=pattern,
            )
