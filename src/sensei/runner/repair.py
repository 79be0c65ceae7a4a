"""Puts single rows of the target right: finds all that differ, shows them, and keeps what stood there before."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sensei import catalog, errors
from sensei.config import fields
from sensei.journal import events
from sensei.plan import steps_context
from sensei.runner import desk as desks
from sensei.runner import hold, mending, pairs, partial, validate, world
from sensei.states import State
from sensei.validation import apart, causes, model, scope, values

BEGUN, FINISHED = "repair_begun", "repair_finished"
FROM = (State.COMPLETED, State.VALIDATED, State.VALIDATION_FAILED)


@dataclass(frozen=True)
class Shown:
    """What is about to be put right in one table, for an operator to agree to."""

    table: str
    missing: int  #: rows to put in
    extra: int  #: rows to take out
    different: int  #: rows to give other values
    quarantined: int = 0  #: rows that stay where they are
    cause: model.Cause | None = None
    evidence: str = ""
    samples: tuple[model.Sample, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data."""
        return {
            "name": self.table,
            "missing": self.missing,
            "extra": self.extra,
            "different": self.different,
            "quarantined": self.quarantined,
            "cause": None if self.cause is None else str(self.cause),
        }


@dataclass(frozen=True)
class Done:
    """What was put right."""

    number: int | None  #: None: nothing differed
    tables: tuple[Shown, ...]
    undoes: int | None = None  #: the repair that it took back


Agree = Callable[[Sequence[Shown]], bool]


def run(desk: desks.Desk, migration: str, names: Sequence[str], agree: Agree) -> Done:
    """Put the rows of these tables right that differ from the source's, in one transaction on the target.

    Journaled; cut off anywhere, it has happened or not, and the same command goes on. Makes every verdict void.
    Raises Refused where nothing was agreed to, or where rows can't be put right one by one.
    """
    loaded = desk.load(migration)
    tables = partial.resolve(loaded.plan, names)
    with _held(desk, loaded) as (held, loaded):
        with _world(loaded, held) as ctx:
            _catch_up(desk, loaded, ctx)
            chosen = [p for p in pairs.pairs(loaded, ctx.book, ctx.target_session) if p.id in tables]
            chosen = [_compared(loaded, p) for p in chosen]
            agreed = loaded.config.validation.tolerances
            found = apart.find(
                ctx.source,
                ctx.target,
                chosen,
                loaded.id,
                loaded.config.options.parallelism,
                values.Tolerance(agreed.float_relative, fields.seconds(agreed.timestamp)),
                held.stop,
            )
            shown = [_shown(one, pair, ctx) for one, pair in zip(found, chosen, strict=True)]
            todo = [(one, pair) for one, pair in zip(found, chosen, strict=True) if one.rows]
            if not todo:
                return Done(None, tuple(shown))
            if not agree(shown):
                raise errors.Refused("nothing was changed", hint="say yes at the question, or --yes")
            desk.screen.say(f"putting {sum(one.rows for one, _ in todo):,} rows right")
            work = [mending.Work(ctx.plan.table(pair.id), pair, one) for one, pair in todo]
            number = _carry_out(desk, loaded, ctx, held, work, None)
        _settle(desk, loaded, number)
    return Done(number, tuple(shown))


def undo(desk: desks.Desk, migration: str, agree: Agree) -> Done:
    """Give the rows of the last repair that stands what they had before it; what is there now is kept as well.

    Raises WrongState where there is none, WorldChanged where one of its tables was made anew since.
    """
    loaded = desk.load(migration)
    with _held(desk, loaded) as (held, loaded):
        with _world(loaded, held) as ctx:
            _catch_up(desk, loaded, ctx)
            number, facts = _last(loaded, ctx)
            shown = [
                Shown(t, of["extra"], of["missing"], of["different"], evidence=f"as before repair {number}")
                for t, of in facts["tables"].items()
            ]
            if not agree(shown):
                raise errors.Refused("nothing was changed", hint="say yes at the question, or --yes")
            work = [mending.Work(ctx.plan.table(t), None, None, of) for t, of in facts["tables"].items()]
            fresh = _carry_out(desk, loaded, ctx, held, work, number)
        _settle(desk, loaded, fresh)
    return Done(fresh, tuple(shown), number)


@contextlib.contextmanager
def _held(desk: desks.Desk, loaded: desks.Loaded) -> Iterator[tuple[hold.Hold, desks.Loaded]]:
    validate.refuse_held(desk, loaded)
    loaded.refuse_state(*FROM)
    with hold.hold(desk, loaded.id) as held:
        loaded = desk.load(loaded.id)
        loaded.refuse_state(*FROM)  # again, now that nobody else can move it
        try:
            yield held, loaded
        except (errors.Paused, KeyboardInterrupt) as stopped:
            raise errors.Refused("interrupted: nothing was changed", hint="run the same command again") from stopped


@contextlib.contextmanager
def _world(loaded: desks.Loaded, held: hold.Hold) -> Iterator[steps_context.Context]:
    source, target = loaded.sides()
    name = f"sensei {loaded.id} repair"
    with source.session(name) as reading, target.session(name) as writing:
        ctx = steps_context.Context(
            loaded.id, loaded.plan, loaded.config, held.epoch, source, target, reading, writing, loaded.book()
        )
        world.refuse_changes(loaded, ctx)
        yield ctx


def _compared(loaded: desks.Loaded, pair: model.Pair) -> model.Pair:
    """Return a pair without what a validation does not compare: what is no difference there is none here."""
    ignored = loaded.config.validation.tolerances.ignore_columns
    computed = {c.source for c in loaded.plan.table(pair.id).computed}  # nobody writes there
    return dataclasses.replace(
        pair,
        columns=tuple(
            dataclasses.replace(c, lossy=True) if scope.is_ignored(ignored, pair, c.source) else c
            for c in pair.columns
            if c.source not in computed
        ),
    )  # fmt: skip


def _shown(one: apart.Apart, pair: model.Pair, ctx: steps_context.Context) -> Shown:
    found = causes.decide(one.divergence, pair, ctx.source)
    return Shown(
        pair.id,
        found.missing,
        found.extra,
        found.different,
        found.quarantined,
        found.cause,
        found.evidence,
        found.samples,
    )


def _carry_out(
    desk: desks.Desk,
    loaded: desks.Loaded,
    ctx: steps_context.Context,
    held: hold.Hold,
    work: Sequence[mending.Work],
    undoes: int | None,
) -> int:
    known = [int(e.payload["number"]) for e in desk.store.events(loaded.id, kinds=(BEGUN,))]
    number = max([*known, *mending.done(ctx), 0]) + 1
    mend = mending.Mending(ctx, number, work, undoes)
    mend.prepare()
    held.check()
    desk.store.append(
        loaded.id,
        BEGUN,
        {"number": number, "tables": [w.table.id for w in work], "undoes": undoes, "epoch": held.epoch},
        desk.actor,
    )
    ctx.book.raise_epoch(ctx.target_session, held.epoch)
    facts = mend.carry_out()
    _journal(desk, loaded, number, facts)
    return number


def _journal(desk: desks.Desk, loaded: desks.Loaded, number: int, facts: Mapping[str, Any]) -> None:
    rows = {t: {k: of[k] for k in ("missing", "extra", "different")} for t, of in facts["tables"].items()}
    desk.store.append(
        loaded.id, FINISHED, {"number": number, "tables": rows, "undoes": facts.get("undoes")}, desk.actor
    )


def _catch_up(desk: desks.Desk, loaded: desks.Loaded, ctx: steps_context.Context) -> None:
    """Journal what an earlier command did before it was cut off; the target's ledger knows whether it took effect."""
    told: dict[int, events.Event] = {}
    for event in desk.store.events(loaded.id, kinds=(BEGUN, FINISHED)):
        if event.kind == BEGUN:
            told[event.payload["number"]] = event
        else:
            told.pop(event.payload["number"], None)
    done = mending.done(ctx)
    for number, event in told.items():
        if number in done:
            desk.screen.say(f"repair {number} had taken effect before its command was cut off")
            _journal(desk, loaded, number, done[number])
        else:
            mending.sweep(ctx, number, len(event.payload["tables"]))


def _settle(desk: desks.Desk, loaded: desks.Loaded, number: int) -> None:
    """Leave the state of a verdict that is void now: rows were copied again, and nothing is validated."""
    if desk.store.migration(loaded.id).status is not State.COMPLETED:
        for state in (State.RUNNING, State.COMPLETED):
            desk.store.transition(loaded.id, state, desk.actor, payload={"repair": number})


def _last(loaded: desks.Loaded, ctx: steps_context.Context) -> tuple[int, dict[str, Any]]:
    done = mending.done(ctx)
    undone = {of.get("undoes") for of in done.values()}
    standing = [n for n, of in done.items() if of.get("undoes") is None and n not in undone]
    if not standing:
        raise errors.WrongState(
            f"no repair of {loaded.id} stands that could be taken back", hint=f"sensei validations run {loaded.id}"
        )
    number = max(standing)
    attempts = ctx.book.attempts(ctx.target_session)
    for table, of in done[number]["tables"].items():
        name = loaded.plan.table(table).target.name
        if of["attempt"] != attempts.get(table, 1) or of["identity"] != _identity(ctx, name):
            raise errors.WorldChanged(
                f"{table} was made anew since repair {number}: what its rows were before is of another table",
                hint=f"sensei validations run {loaded.id}",
            )
    return number, done[number]


def _identity(ctx: steps_context.Context, name: catalog.TableName) -> str | None:
    return ctx.target.engine.introspect.object_identity(ctx.target_session, "table", name)


def rows_of(shown: Sequence[Shown]) -> int:
    """Count the rows that are to be put right."""
    return sum(s.missing + s.extra + s.different for s in shown)
