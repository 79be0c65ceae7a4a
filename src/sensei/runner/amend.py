"""Takes a corrected configuration for tables that are rolled back; nothing else of it, or of the plan, may change."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sensei import catalog, config, errors, plan
from sensei.config import home, loader
from sensei.config import migration as configuration
from sensei.engines import merging
from sensei.journal import migrations
from sensei.plan import model
from sensei.rollback import partial, verify
from sensei.runner import create, taken, world
from sensei.runner import desk as desks

#: Events of the journal that say so.
_AMENDED = (migrations.REPLANNED,)


def is_amended(loaded: desks.Loaded) -> bool:
    """Tell whether the plan is another than the one that was made first."""
    return bool(loaded.desk.store.events(loaded.id, kinds=_AMENDED))


def refuse_config(loaded: desks.Loaded, given: Path | None) -> None:
    """Raise WorldChanged where the configuration is no longer the one that was planned on, and may not be another."""
    original = Path(str(loaded.beside.get("path", "")))
    path = given or (original if original.is_file() else None)
    if path is None:
        return
    try:
        digest = _load(loaded, path).digest
    except errors.BadInput:
        if given is not None:
            raise
        digest = "unreadable"
    if digest == loaded.row.config_digest:
        return
    away = taken.away(loaded, taken.taken(loaded))
    if given is not None and away:
        return  # `amend` looks at it closely
    kept = home.artifacts(loaded.id) / "migration.yaml"
    hint = f"go on as planned: sensei migrations resume {loaded.id} --config {kept}"
    if away:
        hint += f"; take it for {', '.join(sorted(away))}: sensei migrations resume {loaded.id} --config {path}"
    raise errors.WorldChanged(
        f"{path} is not the configuration that {loaded.id} was planned with", hint=hint, path=str(path)
    )


def _load(loaded: desks.Loaded, path: Path) -> loader.Loaded:
    return config.load(path, loaded.beside.get("environment"), yes=True)


def amend(desk: desks.Desk, loaded: desks.Loaded, path: Path) -> bool:
    """Plan the tables that are rolled back anew, and put the amended plan in place; False where nothing changed.

    Raises WorldChanged naming what else differs: in the configuration, or in the plan of another table.
    """
    new = _load(loaded, path)
    _keep_text(loaded.id, loaded.row.config_text)  # whoever was cut off below may not have come to it
    if new.digest == loaded.row.config_digest:
        return False
    away = taken.away(loaded, taken.taken(loaded))
    _refuse_other_changes(loaded, new.config, away, path)
    made = _plan(desk, loaded, new.config, away)
    _refuse_other_plans(loaded, made, away)
    world.refuse_owed_of(new.config, made)
    old = loaded.plan
    amended = dataclasses.replace(
        made,
        # What others were planned with stays to the letter, with the counts and the mark of that moment.
        tables=tuple(t if t.id in away else old.table(t.id) for t in made.tables),
        target_identity=old.target_identity,
        source_marker=old.source_marker,
        target_was_empty=old.target_was_empty,
        token=old.token,
    )
    row = {
        **loaded.beside,
        "plan": amended.to_json(),
        "config": create.plain(new.config),
        "path": str(path.resolve()),
    }
    desk.store.replan(loaded.id, new.text, new.digest, row, desk.actor)
    _keep_text(loaded.id, new.text)
    desk.screen.say(f"the plan is amended for {', '.join(sorted(away))}")
    return True


def _keep_text(migration: str, text: str) -> None:
    kept = home.artifacts(migration) / "migration.yaml"
    if not kept.is_file() or kept.read_text(encoding="utf-8") != text:
        home.private_file(kept).write_text(text, encoding="utf-8")


# -- the configuration


def _refuse_other_changes(
    loaded: desks.Loaded, new: configuration.MigrationConfig, away: Collection[str], path: Path
) -> None:
    before = loaded.config.model_dump(mode="json", by_alias=True)
    after = new.model_dump(mode="json", by_alias=True)
    ours = _names(loaded.plan, away)
    for data in (before, after):
        data["tables"] = {k: v for k, v in data["tables"].items() if k not in ours}
        agreed = data["options"]["accept_lossy"]
        data["options"]["accept_lossy"] = sorted(c for c in agreed if c.rpartition(".")[0] not in ours)
    changes = list(_changes("", before, after))
    if changes:
        raise errors.WorldChanged(
            f"only the tables that are rolled back may be configured anew ({', '.join(sorted(away))}), and {path}"
            f" differs in {', '.join(changes[:10])}",
            hint=f"put that back as it was in {home.artifacts(loaded.id) / 'migration.yaml'}, or roll those tables back"
            " as well",
            changes=changes,
        )


def _names(old: model.Plan, away: Collection[str]) -> set[str]:
    """Return the names under which the file may speak of these tables, and of no other."""
    others = {t.source.name.name for t in old.tables if t.id not in away}
    return {n for t in old.tables if t.id in away for n in (t.id, t.source.name.name) if n == t.id or n not in others}


def _changes(path: str, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from _changes(f"{path}.{key}" if path else str(key), before.get(key), after.get(key))
    elif before != after:
        yield path


# -- the plan


def _plan(
    desk: desks.Desk, loaded: desks.Loaded, asked: configuration.MigrationConfig, away: Collection[str]
) -> model.Plan:
    source, target = loaded.sides()
    with source.session("sensei plan") as reading, target.session("sensei plan") as writing:
        identity = source.engine.introspect.identity(reading)
        if identity != loaded.plan.source_identity:
            raise errors.WorldChanged(
                f"source {source.name} is another database than the one that was planned on",
                hint="point the connection back at it",
            )
        world.refuse_other_target(loaded, target, writing)
        desk.screen.say(f"planning anew: {', '.join(sorted(away))}")
        found = create.look_at_source(source, reading, asked, identity, target, writing)
        # Tables that stay were not there when the plan was made, and what it says of them must come out the same.
        ends = verify.Ends(source, reading, target, writing)
        staying = verify.Staying.of(loaded.plan, loaded.book(), ends)
        there = staying.out_of(
            target.engine.introspect.catalog(writing, None, plan.target_schemas(asked, found.catalog))
        )
        look = create.looker_to_add(target, writing)

        def look_to_add(tables: Sequence[catalog.TableName]) -> Mapping[catalog.TableName, merging.Addable]:
            return {
                name: dataclasses.replace(one, incoming=tuple(i for i in one.incoming if i.table not in staying.tables))
                for name, one in (look(tables) if look else {}).items()
            }

        return plan.make(
            asked,
            found,
            plan.Found(
                target.engine,
                loaded.plan.target_identity,
                there,
                look_to_add=look_to_add if look else None,
                amends=loaded.plan,
            ),
        )


def _refuse_other_plans(loaded: desks.Loaded, made: model.Plan, away: Collection[str]) -> None:
    old = loaded.plan
    if made.source_digest != old.source_digest:
        raise errors.WorldChanged(
            "the source's schema changed since the plan was made",
            hint=f"change it back and resume, or: sensei migrations rollback {loaded.id} --full, then create anew",
        )
    changed = [t.id for t in old.tables if t.id not in away and _lasting(t) != _lasting(made.table(t.id))]
    if changed:
        raise errors.WorldChanged(
            f"with this configuration the plan of other tables would change, too: {', '.join(changed[:10])}",
            hint=f"take them back first: sensei migrations rollback {loaded.id} {taken.option(changed)}",
            tables=changed,
        )
    own = [{s.id for s in partial.own_steps(p, away)} for p in (old, made)]
    before, after = ([s for s in p.steps if s.id not in mine] for p, mine in zip((old, made), own, strict=True))
    if before != after:
        differ = sorted({s.id for s in before} ^ {s.id for s in after})
        raise errors.WorldChanged(
            f"with this configuration other steps would change, too: {', '.join(differ[:10])}",
            hint=f"sensei migrations rollback {loaded.id} --full, then create anew",
            steps=differ,
        )


def _lasting(table: model.TablePlan) -> model.TablePlan:
    """Return a table's plan without what changes with every write."""
    source, target = (dataclasses.replace(t, rows_estimate=0, bytes_estimate=0) for t in (table.source, table.target))
    return dataclasses.replace(table, source=source, target=target, rows=0)
