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
from sensei.plan import model, steps, steps_append, steps_context, together
from sensei.runner import amend, hold, progress, proof, script, settle, validate, verdicts, viewing, world
from sensei.runner import desk as desks
from sensei.states import State, StepState
from sensei.transfer import tables as transfer
from sensei.work import sides


@dataclass(frozen=True)
class Outcome:
    """How a run ended, short of an error."""

    status: State
    rows: int
    quarantined: int
    seconds: float
    reason: str = ""
    validation: validate.Done | None = None  #: where one was carried out at the end
    views_left: int = 0  #: views that were made and did not answer as on the source


def start(desk: desks.Desk, migration: str) -> Outcome:
    """Run a planned migration."""
    loaded = desk.load(migration)
    _refuse_held(desk, loaded)
    loaded.refuse_state(State.PLANNED)
    return _run(desk, loaded.id, None, frozenset({State.PLANNED}))


def resume(desk: desks.Desk, migration: str, given: Path | None) -> Outcome:
    """Go on with one that was paused, failed, or whose runner died, be it while it validated."""
    loaded = desk.load(migration)
    _refuse_held(desk, loaded)
    if loaded.status is State.VALIDATING and given is None:
        done = validate.run(desk, loaded.id)
        report = progress.Report(desk, loaded)
        return Outcome(done.status, report.rows, report.quarantined, done.seconds, _interrupted(done), done)
    loaded.refuse_state(State.PAUSED, State.FAILED, State.RUNNING)
    amend.refuse_config(loaded, given)
    return _run(desk, loaded.id, given, frozenset({State.PAUSED, State.FAILED, State.RUNNING}))


def _refuse_held(desk: desks.Desk, loaded: desks.Loaded) -> None:
    lease = desk.store.lease(loaded.id)
    if loaded.status is State.RUNNING and lease is not None and lease.alive:
        raise errors.LeaseHeld(
            f"{loaded.id} is being run by process {lease.holder.pid} on {lease.holder.host}",
            hint=f"sensei migrations watch {loaded.id}",
        )


def _run(desk: desks.Desk, migration: str, given: Path | None, expect: frozenset[State]) -> Outcome:
    began = time.monotonic()
    with hold.hold(desk, migration) as held:
        loaded = desk.load(migration)
        loaded.refuse_state(*expect)  # again, now that nobody else can move it
        if given is not None and amend.amend(desk, loaded, given):
            loaded = desk.load(migration)
        for owed in world.refuse_owed(loaded):
            desk.screen.say(f"not carried out by this version: {owed}")
        run = _Run(desk, loaded, held)
        with contextlib.ExitStack() as stack:
            stack.callback(run.close)
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
                return run.paused(held.reason or str(pause), began)
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
        done = _validate(desk, migration, held)
        status = State.COMPLETED if done is None else done.status
        seconds = time.monotonic() - began
        left = len(viewing.left(run.loaded))
        return Outcome(status, run.report.rows, run.report.quarantined, seconds, _interrupted(done), done, left)


def _validate(desk: desks.Desk, migration: str, held: hold.Hold) -> validate.Done | None:
    """Validate at the end of a run where the file asks for it, or where a validation was cut off."""
    loaded = desk.load(migration)
    known = verdicts.runs(desk, migration)
    cut_off = bool(known) and known[-1].status is None and not known[-1].void
    auto = loaded.config.validation.auto
    if auto == "none" and not cut_off:
        return None
    return validate.carry_out(desk, loaded, held, None if cut_off else auto)


def _interrupted(done: validate.Done | None) -> str:
    return "its validation was interrupted" if done is not None and done.document is None else ""


class _Run:
    def __init__(self, desk: desks.Desk, loaded: desks.Loaded, held: hold.Hold) -> None:
        self.desk, self.loaded, self.held = desk, loaded, held
        self.id, self.plan = loaded.id, loaded.plan
        self.source, self.target = loaded.sides()
        self.report = progress.Report(desk, loaded)
        self.journaled = desk.store.steps(self.id)
        self.script = script.Keeper(loaded)
        self.attempts: dict[str, int] = {}
        self.copies = [s for s in self.plan.steps if s.kind == "copy" and self._state(s.id) is not StepState.DONE]
        # They start while both sides are looked at and the first steps are taken.
        self.workers = transfer.Workers(self.target, loaded.config.options.parallelism) if self.copies else None
        self.look: proof.Look | None = None

    @contextlib.contextmanager
    def context(self) -> Iterator[steps_context.Context]:
        """Open both sides, make sure that they are the planned ones, and yield what steps act on."""
        with (
            self.source.session(f"sensei {self.id}") as reading,
            self.target.session(f"sensei {self.id}") as writing,
        ):
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
                self.report.told,
                self.desk.screen.say,
            )
            world.refuse_changes(self.loaded, ctx)
            if "ledger" not in self.journaled:
                world.refuse_existing(self.loaded, ctx)
            try:
                yield ctx
            finally:  # they may be others than those of the beginning
                ctx.source_session.close()
                ctx.target_session.close()

    def close(self) -> None:
        """Let go of whatever still works for this run."""
        if self.workers:
            self.workers.close()
        if self.look:
            self.look.close()

    # -- the walk forward

    def steps(self, ctx: steps_context.Context) -> None:
        self.report.start(self.journaled)
        self._walk(ctx)
        script.keep_in_target(self.loaded, ctx.target_session, self.script.say("completed"))

    def _walk(self, ctx: steps_context.Context) -> None:
        todo = [s for s in self.plan.steps if s.kind == "ledger" or self._state(s.id) is not StepState.DONE]
        for batch in together.batches(self.plan, todo):
            self.held.check()
            step = batch[0]
            if step.kind == "copy":
                if self.workers and step is self.copies[0]:
                    self._copy(self.workers)
                    self.workers.close()  # and its connections with it: keys may take hours to build
                continue
            if step.kind == "ledger":
                self._ledger(ctx, step)  # also on resume: it raises the epoch
                self.attempts = ctx.book.attempts(ctx.target_session)
                self.report.counted(self._again(ctx, lambda: settle.settle(self.loaded, ctx, self.held.stop)))
                self._count_turned_out(ctx)
                continue
            for one in batch:
                self.desk.screen.say(f"{one.kind.replace('_', ' ')}: {one.object}")
                self.report.step(one)
            self._begin({one.id: {"object": one.object} for one in batch})
            if step.kind == "analyze":
                # All rows are there: while the target gathers statistics, the source can be asked what the proof needs.
                self.look = proof.Look(self.loaded)
            if steps.is_target_step(step):
                found = self._again(ctx, lambda b=batch: steps.do(ctx, b))  # type: ignore[misc]
                if step.kind == "create_view":
                    found = self._again(ctx, lambda f=found: viewing.proven(self.loaded, ctx, f, self.desk.screen.say))  # type: ignore[misc]
                if any(facts.get("rows_turned_out") for facts in found.values()):
                    self._count_turned_out(ctx)
            elif step.kind == "fingerprint":
                found = {step.id: self._again(ctx, lambda: proof.fingerprint_both(self.loaded, ctx))}
                self.report.counted(found[step.id]["fingerprint"]["source"]["rows"])
            else:
                found = {step.id: self._again(ctx, lambda: self._prove(ctx))}
            self._done(found)

    def _again(self, ctx: steps_context.Context, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Act, and act again on fresh connections while what stopped it may pass.

        Repeating is safe: what took effect is found in the ledger, where it was written in the same transaction, and
        the epoch tells whether anybody else came in between.
        """
        budget = sides.Budget()
        fresh = True
        while True:
            try:
                if not fresh:
                    ctx.source_session.close()
                    ctx.target_session.close()
                    ctx.source_session = self.source.open(f"sensei {self.id}")
                    ctx.target_session = self.target.open(f"sensei {self.id}")
                return act()
            except (errors.Transient, errors.ConnectFailed) as error:
                if not budget.again(error, connected=True):
                    raise
                self.desk.screen.say(f"trying again: {error.message}")
                fresh = False

    def _prove(self, ctx: steps_context.Context) -> dict[str, Any]:
        look, self.look = self.look or proof.Look(self.loaded), None
        try:
            return proof.prove(self.loaded, ctx, look)
        finally:
            look.close()

    def _count_turned_out(self, ctx: steps_context.Context) -> None:
        """Take the counts from the ledger: one kept here would be lost with a run that dies after the step's commit."""
        for table, rows in ctx.book.quarantine_counts(ctx.target_session, ledger.AFTER_LOAD).items():
            self.report.turned_out(table, rows)

    def _state(self, step: str) -> StepState:
        record = self.journaled.get(step)
        return record.state if record else StepState.PENDING

    def _begin(self, facts: dict[str, dict[str, Any]]) -> None:
        self.desk.store.step_all(self.id, StepState.BEGUN, facts, self.desk.actor)

    def _done(self, facts: dict[str, dict[str, Any]]) -> None:
        self.desk.store.step_all(self.id, StepState.DONE, facts, self.desk.actor)
        self.script.after(list(facts)[-1])

    def _ledger(self, ctx: steps_context.Context, step: model.Step) -> None:
        begun = self._state(step.id) is StepState.DONE
        if not begun:
            self._begin({step.id: {"object": step.object}})
        plan_text = ledger.as_json({"plan": self.plan.to_json(), "config": self.loaded.beside["config"]})

        def write() -> dict[str, Any]:
            with sides.told("target", self.target.name):
                ctx.book.set_up(ctx.target_session, self.plan.token, self.loaded.row.source_label, plan_text)
                ctx.book.raise_epoch(ctx.target_session, self.held.epoch)
                if amend.is_amended(self.loaded):
                    ctx.book.keep_plan(ctx.target_session, plan_text)
                if amend.is_amended(self.loaded) or not begun:
                    ctx.book.keep_script(ctx.target_session, script.text(self.loaded, "running"))
                facts = {"target_identity": self.target.engine.introspect.identity(ctx.target_session)}
                if not begun:
                    fingerprint = {"fingerprint": proof.before(self.loaded).to_json()}
                    ctx.book.keep_facts(ctx.target_session, {"fingerprint": fingerprint, step.id: facts})
                return facts

        facts = self._again(ctx, write)
        if not begun:
            self._done({step.id: facts})

    def _copy(self, workers: transfer.Workers) -> None:
        by_table = {s.table: s for s in self.copies}
        stale = proof.before(self.loaded).source.stale_scan
        todo = [self.plan.table(s.table or "") for s in self.copies]
        options = self.loaded.config.options
        crew = transfer.Crew(
            self.id, self.held.epoch, self.source, self.target,
            options.chunk_rows, options.on_row_error == "quarantine",
        )  # fmt: skip
        watch = transfer.Watch(
            stop=self.held.stop,
            begun=lambda jobs: self._begin({by_table[j.table].id: {"object": str(j.source)} for j in jobs}),
            done=lambda copied: self._done(
                {
                    by_table[table].id: {
                        "rows": tally.rows_read, "quarantined": tally.rows_quarantined,
                        "chunks": tally.chunks_done, "checksum": digest,
                    }
                    for table, (tally, digest) in copied.items()
                }
            ),
            progress=self.report.copying,
        )  # fmt: skip
        self.desk.screen.say(f"copying tables: {len(todo)}, workers: {options.parallelism}")
        transfer.copy(
            crew,
            [
                t.job(stale, self.attempts.get(t.id, 1), steps_append.stage_name(t, self.target.engine, self.id))
                for t in todo
            ],
            watch,
            workers,
        )

    # -- endings

    def paused(self, reason: str, began: float) -> Outcome:
        self.report.save(force=True)
        self.desk.store.transition(
            self.id, State.PAUSED, self.desk.actor, returns_to=State.RUNNING, payload={"reason": reason}
        )
        self.script.say("paused")
        self.answer_requests(State.PAUSED)
        return Outcome(State.PAUSED, self.report.rows, self.report.quarantined, time.monotonic() - began, reason)

    def failed(self, error: errors.SenseiError) -> None:
        if isinstance(error, errors.ServerFailed) and "resume" not in error.hint:
            error.hint = f"see that the {error.side or 'server'} is well, then sensei migrations resume {self.id}"
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
