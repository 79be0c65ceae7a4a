"""What a resume does before it takes up tables that were taken back: the others are looked at, or trusted."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence

from sensei import errors
from sensei.catalog import types
from sensei.engines import base, ledger
from sensei.plan import model, steps_context
from sensei.runner import desk as desks
from sensei.runner import taken
from sensei.states import StepState
from sensei.transfer import compare
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
            _refuse_differences(loaded.id, _differences(loaded, ctx, others, before, stop))
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
    loaded: desks.Loaded,
    ctx: steps_context.Context,
    others: Sequence[model.TablePlan],
    before: fingerprint.Fingerprint,
    stop: Callable[[], bool],
) -> dict[str, list[str]]:
    """Return table -> what differs, for tables of which something was copied."""
    checker = _Checker(loaded, ctx, before, stop)
    return checker.differences(others)


class _Checker:
    def __init__(
        self,
        loaded: desks.Loaded,
        ctx: steps_context.Context,
        before: fingerprint.Fingerprint,
        stop: Callable[[], bool],
    ) -> None:
        self.loaded, self.ctx, self.before, self.stop = loaded, ctx, before, stop
        self.attempts = ctx.book.attempts(ctx.target_session)
        self.applied: dict[str, list[ledger.Applied]] = {}
        for one in ctx.book.applied(ctx.target_session):
            if one.number >= 0:
                self.applied.setdefault(one.table, []).append(one)
        self.rejected: dict[str, list[ledger.Rejected]] = {}
        for row in ctx.book.quarantined(ctx.target_session):
            self.rejected.setdefault(row.table, []).append(row)

    def differences(self, others: Sequence[model.TablePlan]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        there = []
        made = {step: identity for step, _, _, identity in self.ctx.book.objects(self.ctx.target_session)}
        for table in others:
            step = f"create_table:{table.id}"
            if step not in made:
                continue
            now = self.ctx.target.engine.introspect.object_identity(self.ctx.target_session, "table", table.target.name)
            if now != made[step]:
                found[table.id] = [f"target table {table.target.name} is no longer the one that was made"]
            elif table.id in self.applied:
                there.append(table)
        plain = [t for t in there if t.id not in self.rejected]
        sums = self._sums([p for t in there for p in self.parts(t)])
        look_closer = [t for t in there if t not in plain]
        for table in there:
            problem = sums[(table.id, "source")].problem
            if problem is not None:
                found[table.id] = [problem]
        for table in plain:
            if table.id not in found and not _same(sums, table.id):
                look_closer.append(table)
        closer = [t for t in look_closer if t.id not in found]
        sums = self._sums([self.by_value(t, p) for t in closer for p in self.parts(t)])
        for table in closer:
            difference = self._difference(table, sums)
            if difference:
                found[table.id] = [difference]
        return found

    def _sums(self, parts: list[compare.Part]) -> dict[tuple[str, str], compare.Sum]:
        return compare.add_up(parts, self.loaded.config.options.parallelism, self.stop)

    def _difference(self, table: model.TablePlan, sums: Mapping[tuple[str, str], compare.Sum]) -> str:
        there, here = sums[(table.id, "target")], sums[(table.id, "source")]
        rejected = self.rejected.get(table.id, [])
        if here.left_out != len(rejected):
            return (
                f"{table.id}: {len(rejected)} rows are in quarantine, of which {here.left_out} are found on the source"
                " by their key: the rest can't be compared"
            )
        if there.rows != here.rows:
            return f"target table {table.target.name}: {here.rows} rows were carried, and it has {there.rows}"
        if there.sum != here.sum:
            return f"target table {table.target.name}: the content of its rows is not the source's"
        return ""

    # -- parts

    def parts(self, table: model.TablePlan) -> list[compare.Part]:
        """Return what is to be read of both sides."""
        job = table.job(self.before.source.stale_scan, self.attempts.get(table.id, 1))
        # Binary rows can't be told apart; two servers of one engine may have another form that can.
        form = base.Form.TEXT if table.form is base.Form.BINARY else table.form
        planned = {c.number: c for c in self.ctx.book.planned_chunks(self.ctx.target_session, table.id, job.attempt)}
        source, bounds = [], []
        for one in self.applied[table.id]:
            chunk = planned[one.number]
            read = base.ReadSpec(job.source, job.read, job.key, chunk.lower, chunk.upper)
            copied = (one.number, base.Form(one.form), one.checksum)
            source.append(compare.Part(self.ctx.source, table.id, read, form, copied, key_positions=job.key_positions))
            bounds.append((chunk.lower, chunk.upper))
        whole = len(planned) == len(source) and planned[max(planned)].upper is None
        key = self._shared_key(table) if whole else None
        guard = not self.ctx.target.engine.capabilities.enforced_types
        columns = tuple(base.ReadColumn(c.target, c.source_type, guard) for c in table.columns)
        target = [
            base.ReadSpec(table.target.name, columns, key or base.ChunkKey("whole"), lower, upper)
            for lower, upper in (bounds if key is not None else [(None, None)])
        ]
        return source + [compare.Part(self.ctx.target, table.id, read, form) for read in target]

    def _shared_key(self, table: model.TablePlan) -> base.ChunkKey | None:
        """Return the target's key where both sides cut along it at the same places: only integers sort alike."""
        named = table.key.columns
        primary = table.source.primary.columns if table.source.primary else ()
        if table.key.kind == "rowid":
            natives = [table.source.column(c).native.upper() for c in primary]
            named = primary if natives == ["INTEGER"] else ()
        if table.key.kind not in ("columns", "rowid") or not named:
            return None
        renamed = {c.source: c.target for c in table.columns}
        kinds = {c.source: c.source_type.kind for c in table.columns}
        if any(kinds.get(c) is not types.Kind.INTEGER for c in named):
            return None
        key = self.ctx.target.engine.rows.key(table.target)
        same = key.columns == tuple(renamed[c] for c in named)
        return key if key.kind in ("columns", "rowid") and same else None

    def by_value(self, table: model.TablePlan, part: compare.Part) -> compare.Part:
        """Return the part read by value; of the source, without the rows that are in quarantine."""
        columns = tuple(
            compare.ByValue(c.source_type, c.there is types.Verdict.EXACT, c.there is types.Verdict.LOSSY)
            for c in table.columns
        )
        rejected: Collection[ledger.Rejected] = self.rejected.get(table.id, ()) if part.side is self.ctx.source else ()
        keys = frozenset(tuple(json.loads(r.key).values()) for r in rejected)
        return dataclasses.replace(part, by_value=columns, without=keys, copied=None)


def _same(sums: Mapping[tuple[str, str], compare.Sum], table: str) -> bool:
    here, there = sums[(table, "source")], sums[(table, "target")]
    return (here.rows, here.sum) == (there.rows, there.sum)
