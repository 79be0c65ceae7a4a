"""Runs a plan from wherever its journal stands to completed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensei import errors, states
from sensei.engines import ledger
from sensei.plan import model, steps, steps_context
from sensei.rollback import verify
from sensei.runner import desk as desks
from sensei.runner import hold, progress, script, world
from sensei.states import State, StepState
from sensei.transfer import tables as transfer
from sensei.work import fingerprint, sides


@dataclass(frozen=True)
class Outcome:
    """How a run ended, short of an error."""

    status: State
    rows: int
    quarantined: int
    seconds: float
    reason: str = ""


def start(desk: desks.Desk, migration: str) -> Outcome:
    """Run a planned migration."""
    loaded = desk.load(migration)
    loaded.refuse_state(State.PLANNED)
    return _run(desk, loaded.id, None, frozenset({State.PLANNED}))


def resume(desk: desks.Desk, migration: str, given: Path | None) -> Outcome:
    """Go on with one that was paused, failed, or whose runner died."""
    loaded = desk.load(migration)
    lease = desk.store.lease(loaded.id)
    if loaded.status is State.RUNNING and lease is not None and lease.alive:
        raise errors.LeaseHeld(
            f"{loaded.id} is being run by process {lease.holder.pid} on {lease.holder.host}",
            hint=f"sensei migrations watch {loaded.id}",
        )
    loaded.refuse_state(State.PAUSED, State.FAILED, State.RUNNING)
    world.refuse_config(loaded, given)
    return _run(desk, loaded.id, given, frozenset({State.PAUSED, State.FAILED, State.RUNNING}))


def _run(desk: desks.Desk, migration: str, given: Path | None, expect: frozenset[State]) -> Outcome:
    began = time.monotonic()
    with hold.hold(desk, migration) as held:
        loaded = desk.load(migration)
        loaded.refuse_state(*expect)  # again, now that nobody else can move it
        for owed in world.refuse_owed(loaded):
            desk.screen.say(f"not carried out by this version: {owed}")
        run = _Run(desk, loaded, held)
        with contextlib.ExitStack() as stack:
            # No state moves before both sides are known to be there and to be those of the plan: a refusal leaves
            # the migration where it was.
            ctx = stack.enter_context(run.context())
            if loaded.status is not State.RUNNING:
                desk.store.transition(migration, State.RUNNING, desk.actor, payload={"epoch": held.epoch})
            else:
                desk.store.append(migration, "taken_up", {"epoch": held.epoch}, desk.actor)
            try:
                run.steps(ctx)
            except (errors.Paused, KeyboardInterrupt) as pause:
                return run.paused(str(pause) or held.reason, began)
            except errors.TakenOver:
                raise
            except errors.SenseiError as error:
                run.failed(error)
                raise
            except Exception as error:
                fault = errors.Fault(f"{type(error).__name__}: {error}", hint=f"sensei migrations resume {migration}")
                run.failed(fault)
                raise fault from error
        run.report.save(force=True)
        desk.store.transition(migration, State.COMPLETED, desk.actor, payload=run.report.totals())
        run.answer_requests(State.COMPLETED)
        return Outcome(State.COMPLETED, run.report.rows, run.report.quarantined, time.monotonic() - began)


class _Run:
    def __init__(self, desk: desks.Desk, loaded: desks.Loaded, held: hold.Hold) -> None:
        self.desk, self.loaded, self.held = desk, loaded, held
        self.id, self.plan = loaded.id, loaded.plan
        self.source, self.target = loaded.sides()
        self.report = progress.Report(desk, loaded)
        self.journaled = desk.store.steps(self.id)
        self.sessions = contextlib.ExitStack()

    @contextlib.contextmanager
    def context(self) -> Iterator[steps_context.Context]:
        """Open both sides, make sure that they are the planned ones, and yield what steps act on."""
        with self.sessions:
            reading = self.sessions.enter_context(self.source.session(f"sensei {self.id}"))
            writing = self.sessions.enter_context(self.target.session(f"sensei {self.id}"))
            ctx = steps_context.Context(
                self.id,
                self.plan,
                self.loaded.config,
                self.held.epoch,
                self.source,
                self.target,
                reading,
                writing,
                ledger.Ledger(self.target.engine, self.id),
                self.report.turned_out,
            )
            world.refuse_changes(self.loaded, ctx)
            if "ledger" not in self.journaled:
                world.refuse_existing(self.loaded, ctx)
            try:
                yield ctx
            finally:  # they may be others than those of the beginning
                ctx.source_session.close()
                ctx.target_session.close()

    # -- the walk forward

    def steps(self, ctx: steps_context.Context) -> None:
        copies = [s for s in self.plan.steps if s.kind == "copy"]
        copied = False
        self.report.start(self.journaled)
        for step in self.plan.steps:
            self.held.check()
            if step.kind == "copy":
                if not copied:
                    self._copy(ctx, copies)
                    copied = True
                continue
            if step.kind == "ledger":
                self._ledger(ctx, step)  # also on resume: it raises the epoch
                continue
            if self._state(step.id) is StepState.DONE:
                continue
            self.desk.screen.say(f"{step.kind.replace('_', ' ')}: {step.object}")
            self.report.step(step)
            self._begin(step, {"object": step.object})
            if steps.is_target_step(step):
                facts = self._again(ctx, lambda s=step: steps.do(ctx, s))  # type: ignore[misc]
            elif step.kind == "fingerprint":
                facts = self._again(ctx, lambda: self._fingerprint(ctx))
            else:
                facts = self._again(ctx, lambda: self._prove(ctx))
            self._done(step, facts)
        body = script.renew(self.desk, self.loaded, "completed")
        script.keep_in_target(self.loaded, ctx.target_session, body)

    def _again(self, ctx: steps_context.Context, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Act, and act again on fresh connections while what stopped it may pass; only for what is safe to repeat."""
        budget = sides.Budget()
        while True:
            try:
                return act()
            except errors.Transient as error:
                if not budget.again(error):
                    raise
                ctx.source_session.close()
                ctx.target_session.close()
                ctx.source_session = self.source.open(f"sensei {self.id}")
                ctx.target_session = self.target.open(f"sensei {self.id}")

    def _persist(self, ctx: steps_context.Context, step: model.Step) -> steps_context.Facts:
        """Carry a step out; a connection that was lost is made anew within the budget.

        Repeating is safe: what took effect is found in the ledger, where it was written in the same transaction.
        """
        budget = sides.Budget()
        while True:
            try:
                if steps.is_target_step(step):
                    return steps.do(ctx, step)
                return self._fingerprint(ctx) if step.kind == "fingerprint" else self._prove(ctx)
            except errors.Transient as error:
                if not budget.again(error):
                    raise
                self.desk.screen.say(f"trying again: {error.message}")
            while True:
                try:
                    self._reconnect(ctx)
                    break
                except (errors.Transient, errors.ConnectFailed) as error:
                    if not budget.again(error, connected=True):
                        raise

    def _reconnect(self, ctx: steps_context.Context) -> None:
        """Replace both sessions; the epoch that steps check tells whether anybody else came in between."""
        ctx.source_session.close()
        ctx.target_session.close()
        ctx.source_session = self.source.open(f"sensei {self.id}")
        self.sessions.callback(ctx.source_session.close)
        ctx.target_session = self.target.open(f"sensei {self.id}")
        self.sessions.callback(ctx.target_session.close)

    def _state(self, step: str) -> StepState:
        record = self.journaled.get(step)
        return record.state if record else StepState.PENDING

    def _begin(self, step: model.Step, facts: dict[str, Any]) -> None:
        self.desk.store.step(self.id, step.id, StepState.BEGUN, facts, self.desk.actor)

    def _done(self, step: model.Step, facts: dict[str, Any]) -> None:
        self.desk.store.step(self.id, step.id, StepState.DONE, facts, self.desk.actor)
        script.renew(self.desk, self.loaded, f"after step {step.id}")

    def _fingerprint(self, ctx: steps_context.Context) -> dict[str, Any]:
        before = fingerprint.Fingerprint(
            fingerprint.of_source(
                self.source, ctx.source_session, [t.source.name for t in self.plan.tables], self.plan.source_marker
            ),
            fingerprint.of_target(self.target, ctx.target_session, self.plan.target_schemas),
        )
        self.report.counted(before.source.rows)
        return {"fingerprint": before.to_json()}

    def _ledger(self, ctx: steps_context.Context, step: model.Step) -> None:
        begun = self._state(step.id) is StepState.DONE
        if not begun:
            self._begin(step, {"object": step.object})
        plan_text = ledger.as_json({"plan": self.plan.to_json(), "config": self.loaded.row.plan["config"]})
        with sides.told("target", self.target.name):
            sides.retried(
                lambda: ctx.book.set_up(ctx.target_session, self.plan.token, self.loaded.row.source_label, plan_text)
            )
            sides.retried(lambda: ctx.book.raise_epoch(ctx.target_session, self.held.epoch))
            if not begun:
                ctx.book.keep_script(ctx.target_session, script.text(self.loaded, "running"))
        if not begun:
            self._done(step, {"target_identity": self.target.engine.introspect.identity(ctx.target_session)})

    def _copy(self, ctx: steps_context.Context, copies: list[model.Step]) -> None:
        by_table = {s.table: s for s in copies}
        stale = self._before().source.stale_scan
        todo = [self.plan.table(s.table or "") for s in copies if self._state(s.id) is not StepState.DONE]
        if not todo:
            return
        options = self.loaded.config.options
        crew = transfer.Crew(
            self.id, self.held.epoch, self.source, self.target,
            options.parallelism, options.chunk_rows, options.on_row_error == "quarantine",
        )  # fmt: skip
        watch = transfer.Watch(
            stop=self.held.stop,
            begun=lambda job: self._begin(by_table[job.table], {"object": str(job.source)}),
            done=lambda job, tally, digest: self._done(
                by_table[job.table],
                {"rows": tally.rows_read, "quarantined": tally.rows_quarantined,
                 "chunks": tally.chunks_done, "checksum": digest},
            ),
            progress=self.report.copying,
        )  # fmt: skip
        self.desk.screen.say(f"copying {len(todo)} tables with {options.parallelism} workers")
        transfer.copy(crew, [t.job(stale) for t in todo], watch)

    def _before(self) -> fingerprint.Fingerprint:
        before = self.loaded.fingerprint()
        if before is None:
            raise errors.Fault("the fingerprint is not in the journal")
        return before

    def _prove(self, ctx: steps_context.Context) -> dict[str, Any]:
        """Count both sides, and make sure that nobody wrote the source while it was copied."""
        before = self._before()
        ends = verify.Ends(self.source, ctx.source_session, self.target, ctx.target_session)
        suspects = self.source.engine.rows.suspects(
            ctx.source_session, before.source.marker, [t.source.name for t in self.plan.tables]
        )
        written = [
            f"{t.id} had {before.source.rows[t.id]} rows and has {now}"
            for t in self.plan.tables
            if (now := self.source.engine.rows.count(ctx.source_session, t.source.name)) != before.source.rows[t.id]
        ]
        if suspects or written:
            counts, contents, _ = verify.source_differences(
                self.plan, before, ends, ctx.book, self.loaded.config.options.parallelism, only=suspects
            )
            written = counts + contents
        if written:
            raise errors.SourceWritten(
                f"the source was written while it was copied: {'; '.join(written[:10])}",
                hint=(
                    f"mode full needs a quiet source: sensei migrations rollback {self.id} --full --verify-source,"
                    " stop the writers, create anew"
                ),
                differences=written,
            )
        missing = []
        for table in self.plan.tables:
            applied = [a for a in ctx.book.applied(ctx.target_session, table.id) if a.number >= 0]
            read, rejected = sum(a.rows_read for a in applied), sum(a.rows_quarantined for a in applied)
            turned_out = ctx.book.quarantine_count(ctx.target_session, table.id, ledger.AFTER_LOAD)
            there = self.target.engine.rows.count(ctx.target_session, table.target.name)
            if read != before.source.rows[table.id] or there != read - rejected - turned_out:
                missing.append(
                    f"{table.id}: source {before.source.rows[table.id]}, read {read},"
                    f" in quarantine {rejected + turned_out}, on the target {there}"
                )
        if missing:
            raise errors.DifferenceFound(
                f"rows don't add up: {'; '.join(missing[:10])}",
                hint=f"sensei migrations rollback {self.id} --full --verify",
                differences=missing,
            )
        return {"tables": len(self.plan.tables), "rows": sum(before.source.rows.values())}

    # -- endings

    def paused(self, reason: str, began: float) -> Outcome:
        self.report.save(force=True)
        self.desk.store.transition(
            self.id, State.PAUSED, self.desk.actor, returns_to=State.RUNNING, payload={"reason": reason}
        )
        self.answer_requests(State.PAUSED)
        return Outcome(State.PAUSED, self.report.rows, self.report.quarantined, time.monotonic() - began, reason)

    def failed(self, error: errors.SenseiError) -> None:
        with contextlib.suppress(errors.StoreFailed):  # what failed may be the store itself; the first error tells
            self.report.save(force=True)
            self.desk.store.transition(
                self.id,
                State.FAILED,
                self.desk.actor,
                payload={"code": error.code, "message": error.message, "exit_code": error.exit_code},
            )
            self.answer_requests(State.FAILED)

    def answer_requests(self, status: states.State) -> None:
        for request in self.held.answered():
            self.desk.store.answer(request, {"status": str(status)}, self.desk.actor)
