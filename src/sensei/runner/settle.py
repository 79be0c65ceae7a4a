"""What a resume does before it takes up tables that were taken back: the others are looked at, or trusted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from sensei import errors
from sensei.engines import ledger
from sensei.plan import model, steps_append, steps_context
from sensei.rollback import verify
from sensei.runner import desk as desks
from sensei.runner import pairs, taken
from sensei.states import StepState
from sensei.transfer import copier
from sensei.validation import data
from sensei.validation import model as validation
from sensei.work import fingerprint, sides


def settle(loaded: desks.Loaded, ctx: steps_context.Context, stop: Callable[[], bool]) -> dict[str, int]:
    """Prepare for the tables that were taken back; returns the rows that each of them now has on the source.

    Unless all of the rollbacks since the last time said to keep the progress, the other tables are checked in full:
    the source against the checksums of what was copied, the target against the source. The source may have been put
    right meanwhile in the tables that were taken back, so what it has is counted anew, and whoever writes from now on
    is seen. Journaled; cut off, it is done again. Raises DifferenceFound, naming the tables.
    """
    found = taken.taken(loaded)
    due = [one for one in found if not one.settled]
    before = loaded.fingerprint()
    if not due:
        return {}
    away = taken.away(loaded, found)
    rows: dict[str, int] = {}
    trusted = all(one.keep_progress for one in due)
    if before is not None:
        back = [t for t in loaded.plan.tables if t.id in away]
        now = fingerprint.of_source(
            ctx.source, ctx.source_session, [t.source.name for t in back], loaded.plan.source_marker
        )
        rows = {t.id: now.rows[str(t.source.name)] for t in back}
        others = [t for t in loaded.plan.tables if t.id not in away]
        if not trusted and others:
            loaded.desk.screen.say(f"checking the other tables in full: {len(others)}")
            _refuse_differences(loaded.id, _differences(loaded, ctx, others, stop))
        source = dataclasses.replace(
            before.source,
            rows={**before.source.rows, **now.rows},
            marker=now.marker,
            stale_scan=before.source.stale_scan or now.stale_scan,
        )
        facts = {"fingerprint": dataclasses.replace(before, source=source).to_json()}
        loaded.desk.store.step(loaded.id, "fingerprint", StepState.DONE, facts, loaded.desk.actor)
        with sides.told("target", ctx.target.name):
            ctx.book.keep_facts(ctx.target_session, {"fingerprint": facts})
    event = {"tables": sorted(away), "others": "trusted" if trusted else "checked"}
    loaded.desk.store.append(loaded.id, taken.SETTLED, event, loaded.desk.actor)
    return rows


def _refuse_differences(migration: str, found: Mapping[str, list[str]]) -> None:
    if not found:
        return
    told = [d for differences in found.values() for d in differences]
    raise errors.DifferenceFound(
        f"tables that stayed are not what they were: {'; '.join(told[:10])}",
        hint=f"take them back, too: sensei migrations rollback {migration} {taken.option(list(found))}",
        differences=told,
        tables=list(found),
    )


def _differences(
    loaded: desks.Loaded, ctx: steps_context.Context, others: Sequence[model.TablePlan], stop: Callable[[], bool]
) -> dict[str, list[str]]:
    """Return table -> what differs, of those tables of which something was copied."""
    found: dict[str, list[str]] = {}
    there = {p.id: p for p in pairs.pairs(loaded, ctx.book, ctx.target_session) if p.copied}
    merged = ctx.book.steps(ctx.target_session)
    for table in others:
        # Rows that were not brought into a table of the target's own yet are in their stage, and alone there.
        if table.append is not None and table.id in there and f"merge:{table.id}" not in merged:
            stage = steps_append.stage_name(table, ctx.target.engine, loaded.id)
            there[table.id] = dataclasses.replace(there[table.id], target=stage, shared=False)
    made = {step: identity for step, _, _, identity in ctx.book.objects(ctx.target_session)}
    for table in others:
        step = f"create_table:{table.id}"
        now = ctx.target.engine.introspect.object_identity(ctx.target_session, "table", table.target.name)
        if step in made and now != made[step]:
            found[table.id] = [f"target table {table.target.name} is no longer the one that was made"]
    wanted = [p for t in others if t.id not in found and (p := there.get(t.id)) is not None]
    workers = loaded.config.options.parallelism
    tasks = [copier.CheckTask(ctx.source, c.read, c.form, p.id, c.number, c.checksum) for p in wanted for c in p.copied]
    for name, moved_on in verify.read_again(tasks, workers, stop):
        found.setdefault(name, [moved_on])  # one tells enough
    left = [p for p in wanted if p.id not in found]
    options = data.Options(workers=workers, samples=1)
    applied = ctx.book.applied_by_table(ctx.target_session)
    for one in data.compare(ctx.source, ctx.target, left, options, data.Watch(stop)):
        copied = sum(a.rows_read for a in applied[one.table])
        difference = _apart(one, there[one.table], copied)
        if difference:
            found[one.table] = [difference]
    return found


def _apart(one: validation.Divergence, pair: validation.Pair, copied: int) -> str:
    """Say how far a table's two sides are apart; rows that are not copied yet are missing rightly."""
    missing = one.missing - max(one.rows_source - copied, 0)
    if not (missing or one.extra or one.different):
        return ""
    words = [(missing, "missing"), (one.extra, "there besides"), (one.different, "different")]
    told = ", ".join(f"{n} {what}" for n, what in words if n)
    sample = f"; such as {ledger.as_json(dict(one.samples[0].key))}" if one.samples else ""
    return f"target table {pair.target}, of {copied} rows that were copied: {told}{sample}"
