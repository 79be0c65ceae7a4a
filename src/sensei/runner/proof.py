"""The first and the last step of a run: what both ends looked like, and that all of it arrived."""

from __future__ import annotations

import concurrent.futures
from typing import Any

from sensei import catalog, errors
from sensei.engines import base, ledger
from sensei.plan import steps_append, steps_context
from sensei.rollback import verify
from sensei.runner import desk as desks
from sensei.work import fingerprint, sides


def before(loaded: desks.Loaded) -> fingerprint.Fingerprint:
    """Return the fingerprint that the run began with."""
    found = loaded.fingerprint()
    if found is None:
        raise errors.Fault("the fingerprint is not in the journal")
    return found


def fingerprint_both(loaded: desks.Loaded, ctx: steps_context.Context) -> dict[str, Any]:
    """Measure both ends before anything is touched."""
    tables = [t.source.name for t in loaded.plan.tables]
    found = fingerprint.Fingerprint(
        fingerprint.of_source(ctx.source, ctx.source_session, tables, loaded.plan.source_marker),
        fingerprint.of_target(ctx.target, ctx.target_session, loaded.plan.target_schemas),
    )
    return {"fingerprint": found.to_json()}


_Recounted = dict[catalog.TableName, base.Recount]


class Look:
    """Looks at the source in a thread and a session of its own: whether its rows are those of the fingerprint.

    The target has something else to do at the same time. Life: made, asked for what it found, closed.
    """

    def __init__(self, loaded: desks.Loaded) -> None:
        self._source, _ = loaded.sides()
        self._names = [t.source.name for t in loaded.plan.tables]
        self._marker = before(loaded).source.marker
        self._application = f"sensei {loaded.id} prove"
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._recounted = self._thread.submit(self._recount)

    def _recount(self) -> _Recounted:
        with self._source.session(self._application) as session:
            return self._source.engine.rows.recount(session, self._marker, self._names)

    def found(self) -> _Recounted:
        """Return what is there; raises what the source raised."""
        return self._recounted.result()

    def close(self) -> None:
        """Let it end, after what it is asking."""
        self._thread.shutdown(cancel_futures=True)


def prove(loaded: desks.Loaded, ctx: steps_context.Context, look: Look) -> dict[str, Any]:
    """Count both sides, and make sure that nobody wrote the source while it was copied."""
    was = before(loaded)
    missing = []
    with sides.told("target", ctx.target.name):
        rows = ctx.target.engine.rows
        counted = {t.id: rows.count(ctx.target_session, t.target.name) for t in loaded.plan.tables}
    found = look.found()
    _refuse_written(loaded, ctx, was, found)
    applied = ctx.book.applied_by_table(ctx.target_session)
    turned_out = ctx.book.quarantine_counts(ctx.target_session, ledger.AFTER_LOAD)
    for table in loaded.plan.tables:
        mine = [a for a in applied.get(table.id, ()) if a.number >= 0]
        read = sum(a.rows_read for a in mine)
        rejected = sum(a.rows_quarantined for a in mine) + turned_out.get(table.id, 0)
        there = counted[table.id]
        wanted = read - rejected
        merged = steps_append.total(ctx, table)
        if merged is not None and merged[1] == wanted:  # as many as were to come in: then all others are its own
            wanted = merged[0]
        if read != was.source.rows[table.id] or there != wanted:
            missing.append(
                f"{table.id}: source {was.source.rows[table.id]}, read {read}, in quarantine {rejected},"
                f" on the target {there}"
            )
    if missing:
        raise errors.DifferenceFound(
            f"rows don't add up: {'; '.join(missing[:10])}",
            hint=f"sensei migrations rollback {loaded.id} --full --verify",
            differences=missing,
        )
    return {"tables": len(loaded.plan.tables), "rows": sum(was.source.rows.values())}


def _refuse_written(
    loaded: desks.Loaded, ctx: steps_context.Context, was: fingerprint.Fingerprint, now: _Recounted
) -> None:
    suspects = [name for name, found in now.items() if found.suspect]
    written = [
        f"{name} had {was.source.rows[str(name)]} rows and has {found.rows}"
        for name, found in now.items()
        if found.rows != was.source.rows[str(name)]
    ]
    if suspects or written:
        ends = verify.Ends(ctx.source, ctx.source_session, ctx.target, ctx.target_session)
        counts, contents, _ = verify.source_differences(
            loaded.plan, was, ends, ctx.book, loaded.config.options.parallelism, only=suspects
        )
        written = counts + contents
        if not written:
            # What was copied is what is there now, but not all of it is what the fingerprint saw: rows were written
            # before it was their turn.
            written = [
                f"{name}, in rows that were not copied yet"
                for name in ctx.source.engine.rows.written(ctx.source_session, was.source.marker, suspects)
            ]
    if written:
        raise errors.SourceWritten(
            f"the source was written while it was copied: {'; '.join(written[:10])}",
            hint=(
                f"mode full needs a quiet source: sensei migrations rollback {loaded.id} --full --verify-source,"
                " stop the writers, create anew"
            ),
            differences=written,
        )
