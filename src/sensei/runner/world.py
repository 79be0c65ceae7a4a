"""Makes sure that the world is still the one that was planned on."""

from __future__ import annotations

from collections.abc import Sequence

from sensei import catalog, errors, plan
from sensei.catalog import diff
from sensei.config import migration as configuration
from sensei.engines import base, ledger
from sensei.plan import model, steps_context
from sensei.runner import desk as desks
from sensei.work import sides


def refuse_changes(loaded: desks.Loaded, ctx: steps_context.Context) -> None:
    """Raise WorldChanged where source, target or their definitions are not those of the plan."""
    made = loaded.plan
    identity = ctx.source.engine.introspect.identity(ctx.source_session)
    if identity != made.source_identity:
        raise errors.WorldChanged(
            f"source {ctx.source.name} is another database than the one that was planned on",
            hint="point the connection back at it, or plan anew: sensei migrations create --config FILE",
            planned=made.source_identity,
            found=identity,
        )
    refuse_other_target(loaded, ctx.target, ctx.target_session)
    refuse_lost_ledger(loaded, ctx.target, ctx.book, ctx.target_session)
    introspect = ctx.source.engine.introspect
    found = introspect.catalog(ctx.source_session, made.schemas)
    names = {t.source.name for t in made.tables}
    tables = [t for t in found.tables if t.name in names]
    refuse_missing(
        "source",
        ctx.source,
        introspect.missing_privileges(ctx.source_session, base.Purpose.SOURCE, [t.name for t in tables], made.schemas),
    )
    if plan.digest(tables) != made.source_digest:
        # Of tables that the migration sees otherwise than they are, the plan has no more than the digest.
        plain = {t.source.name for t in made.tables if t.seen_as is None}
        before = catalog.Catalog(
            found.engine, found.version, (), tuple(t.source for t in made.tables if t.source.name in plain)
        )
        after = catalog.Catalog(found.engine, found.version, (), tuple(t for t in tables if t.name in plain))
        changes = [str(d) for d in diff.compare(diff.facts(before), diff.facts(after))]
        raise errors.WorldChanged(
            f"the source's schema changed since the plan was made: {'; '.join(changes[:5]) or 'definitions differ'}",
            hint=f"change it back and resume, or: sensei migrations rollback {loaded.id} --full, then create anew",
            changes=changes,
        )


def refuse_other_target(loaded: desks.Loaded, target: sides.Side, session: base.Session) -> None:
    """Raise WorldChanged where this is not the database that was planned on, or was migrated into."""
    identity = target.engine.introspect.identity(session)
    step = loaded.desk.store.steps(loaded.id).get("ledger")
    expected = step.facts.get("target_identity") if step else None
    book = loaded.book()
    if identity == (expected or loaded.plan.target_identity):
        return
    # A file that was not there has another identity from the ledger on; until that is journaled, its token tells.
    if expected or book.token(session) != loaded.plan.token:
        raise errors.WorldChanged(
            f"target {target.name} is another database than the one that was planned on",
            hint="point the connection back at it, or plan anew: sensei migrations create --config FILE",
            planned=expected or loaded.plan.target_identity,
            found=identity,
        )


def refuse_lost_ledger(loaded: desks.Loaded, target: sides.Side, book: ledger.Ledger, session: base.Session) -> None:
    """Raise WorldChanged where the target forgot what is in it."""
    step = loaded.desk.store.steps(loaded.id).get("ledger")
    if step and step.facts.get("target_identity") and not book.exists(session):
        raise errors.WorldChanged(
            f"target {target.name} no longer has Sensei's ledger of {loaded.id}: it was restored or emptied",
            hint=f"restore the schema sensei_ as well, or: sensei migrations rollback {loaded.id} --full",
        )


def refuse_missing(role: str, side: sides.Side, missing: Sequence[base.Missing]) -> None:
    """Raise MissingPrivilege with the statements that grant what the account lacks."""
    if missing:
        raise errors.MissingPrivilege(
            f"{role} {side.name}: the account lacks " + "; ".join(m.what for m in missing[:10]),
            hint="\n".join(dict.fromkeys(m.grant for m in missing)),
            missing=[{"what": m.what, "grant": m.grant} for m in missing],
            side=role,
            connection=side.name,
        )


def refuse_owed(loaded: desks.Loaded) -> list[str]:
    """Return what is asked for and not carried out yet; raises where something of it is required."""
    return refuse_owed_of(loaded.config, loaded.plan)


def refuse_owed_of(asked: configuration.MigrationConfig, made: model.Plan) -> list[str]:
    """Do the same for a configuration and its plan."""
    from sensei.config import owed

    found = owed.not_yet(asked)
    hard = [o for o in found if o.required]
    if hard:
        raise errors.NotYet(
            "; ".join(f"{o.path}: {o.message}" for o in hard),
            hint="take these out of the configuration and create the migration anew",
            owed=[o.path for o in hard],
        )
    blocking = [r for r in made.risks if r.severity == "blocking"]
    if blocking:
        raise errors.CheckUnmet(
            "; ".join(f"{r.table}.{r.column}: {r.reason}" for r in blocking),
            hint="agree in options.accept_lossy or map the columns otherwise, then create the migration anew"
            if all("accept_lossy" in r.reason for r in blocking)
            else "do what each of these says, then create the migration anew",
            columns=[f"{r.table}.{r.column}" for r in blocking],
        )
    return [f"{o.path}: {o.message}" for o in found]


def refuse_existing(loaded: desks.Loaded, ctx: steps_context.Context) -> None:
    """Raise where a planned table has appeared on the target since the plan was made, or one to make way changed."""
    introspect, keep = ctx.target.engine.introspect, ctx.target.engine.keep
    sensitive = ctx.target.engine.capabilities.case_sensitive_names

    def fold(name: catalog.TableName) -> tuple[str, str]:
        return name.schema, name.name if sensitive else name.name.lower()

    held = {fold(h.name): h for h in loaded.plan.held if h.kind == "table"}
    own = {t.target.name for t in loaded.plan.tables if t.append is not None}
    if own:
        _refuse_other_shapes(loaded, ctx)
    hits = []
    for table in loaded.plan.tables:
        name = table.target.name
        there = introspect.object_identity(ctx.target_session, "table", name)
        old = held.get(fold(name))
        if old is None and there is not None and name not in own:
            hits.append(str(name))
        elif old is not None and not (keep is not None and keep.is_as_planned(ctx.target_session, old)):
            raise errors.WorldChanged(
                f"the target's own table {old.name} is {'gone' if there is None else 'not the one'}"
                f"{'' if there is None else ' that was planned on'}",
                hint="plan anew: sensei migrations create --config FILE",
                table=str(old.name),
            )
    if hits:
        raise errors.Refused(
            f"the target already has {', '.join(hits[:10])}, and on_existing is fail"
            if loaded.config.options.on_existing == "fail"
            else f"the target already has {', '.join(hits[:10])}, which it had not when the plan was made",
            hint="rename them, or plan anew with other names",
            existing=hits,
        )


def _refuse_other_shapes(loaded: desks.Loaded, ctx: steps_context.Context) -> None:
    """Raise WorldChanged where a table that rows are to be added to is no longer as it was planned on."""
    mine = {t.target.name: t.target for t in loaded.plan.tables if t.append is not None}
    found = ctx.target.engine.introspect.catalog(ctx.target_session, sorted({n.schema for n in mine}))
    now = catalog.Catalog(found.engine, found.version, (), tuple(t for t in found.tables if t.name in mine))
    was = catalog.Catalog(found.engine, found.version, (), tuple(mine.values()))
    changes = [str(d) for d in diff.compare(diff.facts(was), diff.facts(now))]
    if changes:
        raise errors.WorldChanged(
            f"the target's own tables changed since the plan was made: {'; '.join(changes[:5])}",
            hint="plan anew: sensei migrations create --config FILE",
            changes=changes,
        )
