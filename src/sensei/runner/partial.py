"""Takes some tables back while the others stay: stops the holder, asks what may come along, walks, journals."""

from __future__ import annotations

import dataclasses
import difflib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sensei import errors, rollback, states
from sensei.engines import base, ledger
from sensei.plan import model
from sensei.rollback import partial
from sensei.runner import back, hold, progress, script, taken, world
from sensei.runner import desk as desks
from sensei.states import State
from sensei.work import sides

#: Answers whether these tables may be taken along, each with the reason why it has to.
Consent = Callable[[Mapping[str, str]], bool]


@dataclass(frozen=True)
class Request:
    """What an operator asked for."""

    names: Sequence[str]
    keep_progress: bool
    reason: str


def resolve(plan: model.Plan, names: Sequence[str]) -> list[str]:
    """Return the ids of the tables that an operator named, by their names on the source or on the target.

    One word may hold several, with commas between them. Raises UnknownName with the nearest name, BadInput for one
    that several tables share.
    """
    known: dict[str, set[str]] = {}
    for table in plan.tables:
        for name in (table.id, table.source.name.name, str(table.target.name), table.target.name.name):
            known.setdefault(name, set()).add(table.id)
    ids = {t.id for t in plan.tables}
    found: dict[str, None] = {}
    for word in names:
        parts = [word] if word in known else [p.strip() for p in word.split(",")]
        for name in parts:
            if name in ids:
                found[name] = None
            elif len(known.get(name, ())) == 1:
                found |= dict.fromkeys(known[name])
            elif name in known:
                raise errors.BadInput(
                    f"{name} is the name of several tables: {', '.join(sorted(known[name]))}",
                    hint="write it with its schema: --tables schema.table",
                )
            else:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                raise errors.UnknownName(
                    f"the migration has no table {name}" + (f"; did you mean {near[0]}?" if near else ""),
                    hint="it has: " + ", ".join(sorted(ids)[:20]) + (" …" if len(ids) > 20 else ""),
                    table=name,
                    nearest=near,
                )
    return list(found)


def tables(
    desk: desks.Desk, migration: str, request: Request, consent: Consent, *, check: bool, check_source: bool
) -> back.Report:
    """Roll some tables back. Journaled; cut off anywhere, the same command goes on; repeated, it does nothing."""
    began = time.monotonic()
    loaded = desk.load(migration)
    asked = resolve(loaded.plan, request.names)
    found = taken.taken(loaded)
    refuse_state(loaded, found, asked)
    if loaded.status is not State.ROLLING_BACK and _nothing_left(loaded, found, asked, request):
        desk.screen.say(f"rolled back already: {', '.join(asked)}")
    else:
        agreed: frozenset[str] = frozenset(asked)
        if loaded.status is not State.ROLLING_BACK:
            agreed |= _agree(loaded, asked, consent)
            back.stop_holder(desk, loaded, request.reason)
        _walk(desk, loaded.id, asked, agreed, request)
    if check or check_source:
        report = back.prove(desk, loaded.id, only_source=check_source and not check, partly=True)
        report.duration_seconds = time.monotonic() - began
    else:
        row = desk.store.migration(loaded.id)
        report = back.Report(row.status, dict(back.NOT_CHECKED), True, time.monotonic() - began)
        report.evidence = [e for e in desk.store.evidence(loaded.id) if not e["purged_at"]]
    report.tables = sorted(taken.away(loaded, taken.taken(loaded)))
    return report


def refuse_state(loaded: desks.Loaded, found: Sequence[taken.Taken], asked: Collection[str]) -> None:
    """Raise WrongState where single tables can't be taken back from here."""
    if loaded.status is State.ROLLING_BACK:
        command = taken.go_on(loaded, found)
        if not command:
            raise errors.WrongState(
                f"a rollback of all of {loaded.id} has begun",
                hint=f"sensei migrations rollback {loaded.id} --full (goes on where it was cut off)",
                status=str(loaded.status),
            )
        if not set(asked) <= set(found[-1].tables):
            raise errors.WrongState(
                f"a rollback of {', '.join(found[-1].asked)} was cut off: it has to be finished first",
                hint=command,
                status=str(loaded.status),
            )
        return
    loaded.refuse_state(*(s for s in State if s in states.PARTIAL_ROLLBACK_FROM))
    returns_to = loaded.row.returns_to
    if loaded.status is State.PAUSED and returns_to is not None and returns_to not in states.PARTIAL_ROLLBACK_FROM:
        raise errors.WrongState(
            f"{loaded.id} is {returns_to.value.replace('_', ' ')}: single tables are only taken back before a cutover",
            hint=loaded.next_command(),
            status=str(loaded.status),
        )


def _nothing_left(loaded: desks.Loaded, found: Sequence[taken.Taken], asked: Collection[str], request: Request) -> bool:
    """Tell whether the tables are away, and the next resume will look at the others as closely as is asked now."""
    if not set(asked) <= taken.away(loaded, found):
        return False
    return request.keep_progress or not all(one.keep_progress for one in found if not one.settled)


def _agree(loaded: desks.Loaded, asked: Sequence[str], consent: Consent) -> frozenset[str]:
    """Find what has to come along, and ask; raises Refused where the answer is no. Nothing was changed."""
    _, target = loaded.sides()
    with target.session("sensei look") as session:
        world.refuse_other_target(loaded, target, session)
        more = _along(loaded, target, session, asked)
    if more and not consent(more):
        raise _refusal(loaded.id, asked, more)
    return frozenset(more)


def _along(loaded: desks.Loaded, target: sides.Side, session: base.Session, asked: Collection[str]) -> dict[str, str]:
    book = ledger.Ledger(target.engine, loaded.id)
    # A key whose building was begun may be in place, where DDL commits by itself.
    done = {**book.steps(session), **book.begun(session)} if book.exists(session) else {}
    return partial.along(loaded.plan, target.engine, asked, done)


def _refusal(migration: str, asked: Sequence[str], more: Mapping[str, str]) -> errors.Refused:
    told = "; ".join(f"{table} ({why})" for table, why in list(more.items())[:10])
    return errors.Refused(
        f"{', '.join(asked)} can't be taken back alone, these depend on it: {told}"
        + (f"; and {len(more) - 10} more" if len(more) > 10 else ""),
        hint=f"to take them along: sensei migrations rollback {migration} {taken.option(asked)} --yes",
        dependents=list(more),
    )


def _walk(desk: desks.Desk, migration: str, asked: Sequence[str], agreed: Collection[str], request: Request) -> None:
    with hold.hold(desk, migration) as held:
        loaded = desk.load(migration)
        found = taken.taken(loaded)
        refuse_state(loaded, found, asked)  # again, now that nobody else can move it
        _, target = loaded.sides()
        book = ledger.Ledger(target.engine, migration)
        again = hold.going_on(f"sensei migrations rollback {migration} {taken.option(asked)}")
        with again, target.session(f"sensei {migration} rollback") as session:
            world.refuse_other_target(loaded, target, session)
            world.refuse_lost_ledger(loaded, target, book, session)
            there = book.exists(session)
            if there:
                # No transaction of an earlier runner can land from here on, so what is found now stays as it is.
                sides.retried(lambda: book.raise_epoch(session, held.epoch))
            if loaded.status is State.ROLLING_BACK:
                one = found[-1]
            else:
                one = _begin(desk, loaded, target, session, book if there else None, asked, agreed, request)
            facts: Mapping[str, Any] = {"kept": [], "statements": []}
            if there:
                try:
                    facts = _take_back(desk, loaded, target, session, book, one, held.epoch)
                    # The one that is there would put tables where those of this rollback are now.
                    body = script.text(loaded, f"after the rollback of {', '.join(one.tables)}")
                    sides.retried(lambda: book.keep_script(session, body))
                except errors.SenseiError as error:
                    stopped = {"code": error.code, "message": error.message}
                    desk.store.append(migration, "rollback_stopped", stopped, desk.actor)
                    raise
        taken.journal(loaded, one, facts)
        report = progress.Report(desk, loaded)
        report.taken_back(one.tables)
        desk.store.transition(
            migration,
            State.PAUSED,
            desk.actor,
            returns_to=State.RUNNING,
            payload={"reason": f"rolled back: {', '.join(one.tables)}", "statements": facts["statements"]},
        )
        script.renew(desk.load(migration), f"after the rollback of {', '.join(one.tables)}")


def _begin(
    desk: desks.Desk,
    loaded: desks.Loaded,
    target: sides.Side,
    session: base.Session,
    book: ledger.Ledger | None,
    asked: Sequence[str],
    agreed: Collection[str],
    request: Request,
) -> taken.Taken:
    """Settle what comes along, make sure that nothing stands in the way, and move the state; refusals come before."""
    more = _along(loaded, target, session, asked)
    grown = {table: why for table, why in more.items() if table not in agreed}
    if grown:  # the run that was stopped had just built another key
        raise _refusal(loaded.id, asked, more)
    scope = sorted({*asked, *more})
    made = set()
    if book is not None:
        mine = [t for t in loaded.plan.tables if t.id in set(scope)]
        rollback.refuse_dependents(loaded.plan, mine, target, session, book)
        made = {(kind, name) for _, kind, name, _ in book.objects(session)}
    keep = rollback.keeps(loaded.plan, loaded.config.options.evidence)
    one = taken.Taken(
        taken.next_number(taken.taken(loaded)),
        tuple(scope),
        tuple(asked),
        request.keep_progress,
        tuple(n for k, n in partial.kept(loaded.plan, set(scope)) if (k, n) in made) if keep else (),
    )
    desk.store.transition(
        loaded.id,
        State.ROLLING_BACK,
        desk.actor,
        payload={"reason": request.reason, "partial": one.data(), "along": more},
    )
    return one


def _take_back(
    desk: desks.Desk,
    loaded: desks.Loaded,
    target: sides.Side,
    session: base.Session,
    book: ledger.Ledger,
    one: taken.Taken,
    epoch: int,
) -> Mapping[str, Any]:
    plan, evidence = loaded.plan, loaded.config.options.evidence
    mine = [t for t in plan.tables if t.id in set(one.tables)]
    if one.number not in book.taken_back(session):
        rollback.refuse_dependents(plan, mine, target, session, book)
        if evidence == "export" and not rollback.keeps(plan, "export"):
            folder = back.export_folder(loaded.id, one.number)
            back.export(desk, loaded, dataclasses.replace(plan, tables=tuple(mine)), target, session, book, folder)
    scope = partial.Scope(one.number, frozenset(one.tables))
    return sides.retried(lambda: partial.walk(plan, target, session, book, evidence, scope, epoch, desk.screen.say))


def dry_run(desk: desks.Desk, migration: str, request: Request) -> tuple[dict[str, str], list[str]]:
    """Return what would have to come along, and what would be done; changes nothing."""
    loaded = desk.load(migration)
    asked = resolve(loaded.plan, request.names)
    found = taken.taken(loaded)
    refuse_state(loaded, found, asked)
    _, target = loaded.sides()
    with target.session("sensei dry run") as session:
        world.refuse_other_target(loaded, target, session)
        book = ledger.Ledger(target.engine, loaded.id)
        if not book.exists(session):
            return {}, []
        more: dict[str, str] = {}
        if loaded.status is State.ROLLING_BACK:
            scope = partial.Scope(found[-1].number, frozenset(found[-1].tables))
        else:
            more = _along(loaded, target, session, asked)
            scope = partial.Scope(taken.next_number(found), frozenset({*asked, *more}))
        mine = [t for t in loaded.plan.tables if t.id in scope.tables]
        rollback.refuse_dependents(loaded.plan, mine, target, session, book)
        due = partial.statements(loaded.plan, target.engine, loaded.id, loaded.config.options.evidence, scope)
        walked = rollback.Walked()
        rollback.run_due(due, session, walked, lambda text: None, dry_run=True)
    return more, walked.done
