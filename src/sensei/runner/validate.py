"""Validates a migration: a numbered run that is journaled, goes on after a crash, and leaves its report."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensei import crashpoints, errors
from sensei.config import home
from sensei.engines import ledger
from sensei.journal import events
from sensei.plan import scoping, steps_context
from sensei.runner import desk as desks
from sensei.runner import hold, pairs, verdicts, viewing, world
from sensei.states import State
from sensei.validation import model, preflight, registry, scope

#: From these a validation moves the migration's state; while it is cut over, none moves.
FROM = (State.COMPLETED, State.VALIDATING, State.VALIDATED, State.VALIDATION_FAILED, State.CUT_OVER)


@dataclass(frozen=True)
class Done:
    """How a run of a validation ended, short of an error."""

    number: int
    status: State  #: of the migration now
    document: dict[str, Any] | None  #: the report; None: it was interrupted, and goes on when it is run again
    seconds: float

    @property
    def passed(self) -> bool:
        """Nothing critical was found, or it is not over yet."""
        return self.document is None or self.document["status"] == State.VALIDATED


def run(desk: desks.Desk, migration: str, kind: str | None = None) -> Done:
    """Validate; a run that was cut off goes on. `kind` is full or quick (None: as it was begun, else full)."""
    loaded = desk.load(migration)
    refuse_held(desk, loaded)
    loaded.refuse_state(*FROM)
    with hold.hold(desk, loaded.id) as held:
        loaded = desk.load(loaded.id)
        loaded.refuse_state(*FROM)
        return carry_out(desk, loaded, held, kind)


def refuse_held(desk: desks.Desk, loaded: desks.Loaded) -> None:
    """Raise LeaseHeld where a live process validates it."""
    lease = desk.store.lease(loaded.id)
    if loaded.status is State.VALIDATING and lease is not None and lease.alive:
        raise errors.LeaseHeld(
            f"{loaded.id} is being validated by process {lease.holder.pid} on {lease.holder.host}",
            hint=f"sensei migrations watch {loaded.id}",
        )


def carry_out(desk: desks.Desk, loaded: desks.Loaded, held: hold.Hold, kind: str | None) -> Done:
    """Validate with the lease in hand."""
    began = time.monotonic()
    known = verdicts.runs(desk, loaded.id)
    if loaded.status is State.VALIDATING and known and known[-1].status is not None and not known[-1].void:
        # It was over, and only the state had not moved yet.
        last = known[-1]
        _settle(desk, loaded, last.number, str(last.status))
        return Done(last.number, desk.store.migration(loaded.id).status, verdicts.document(loaded, last), 0.0)
    with contextlib.ExitStack() as stack:
        # No state moves before both sides are known to be there and to be those of the plan.
        prepared = stack.enter_context(_prepared(loaded, held))
        number = _begin(desk, loaded, known, kind, held, prepared[0])
        scoped = _scope(desk, loaded, held, number, *prepared[1:])
        try:
            document = _look(loaded, scoped, number)
        except (errors.Paused, KeyboardInterrupt):
            _answer(held, desk, State.VALIDATING)
            return Done(number.number, desk.store.migration(loaded.id).status, None, time.monotonic() - began)
        except errors.TakenOver:
            raise
        except errors.SenseiError as error:
            _failed(desk, loaded, held, error)
            raise
        except Exception as error:
            fault = errors.Fault(f"{type(error).__name__}: {error}", hint=f"sensei migrations resume {loaded.id}")
            _failed(desk, loaded, held, fault)
            raise fault from error
    document["duration_seconds"] = round(time.monotonic() - began, 3)
    digest = keep(verdicts.place(loaded.id, number.number), document)
    desk.store.append(
        loaded.id,
        verdicts.FINISHED,
        {
            "number": number.number,
            "type": number.kind,
            "status": document["status"],
            "digest": digest,
            "failures": len(document["failures"]),
            "perspectives": {p: found["verdict"] for p, found in document["perspectives"].items()},
        },
        desk.actor,
    )
    _settle(desk, loaded, number.number, document["status"])
    _answer(held, desk, State(document["status"]))
    with contextlib.suppress(OSError):  # it says nothing that the report does not
        verdicts.memory(loaded.id, number.number).unlink(missing_ok=True)
    return Done(number.number, desk.store.migration(loaded.id).status, document, time.monotonic() - began)


def keep(place: Path, document: dict[str, Any]) -> str:
    """Write a report whole or not at all; return the digest of its bytes."""
    body = (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "surrogatepass")
    fresh = home.private_file(place.with_suffix(".new"))
    fresh.write_bytes(body)
    crashpoints.reach("validation:report:before")
    fresh.replace(place)
    crashpoints.reach("validation:report:after")
    return hashlib.sha256(body).hexdigest()


@contextlib.contextmanager
def _prepared(
    loaded: desks.Loaded, held: hold.Hold
) -> Iterator[tuple[str, scope.Plan, tuple[model.Pair, ...], Any, Any]]:
    source, target = loaded.sides()
    name = f"sensei {loaded.id} validation"
    with source.session(name) as reading, target.session(name) as writing:
        book = ledger.Ledger(target.engine, loaded.id)
        ctx = steps_context.Context(
            loaded.id, loaded.plan, loaded.config, held.epoch, source, target, reading, writing, book
        )
        world.refuse_changes(loaded, ctx)
        found = pairs.pairs(loaded, book, writing)
        # Before anything is looked at: whoever writes from now on is seen when a certificate is asked for.
        mark = target.engine.rows.marker(writing)
    plan, path = _plan(loaded), loaded.row.plan.get("path") or ""
    preflight.refuse(plan, loaded.config.validation, Path(path).parent if path else None, verdicts.places(path))
    yield mark, plan, found, source, target


def _plan(loaded: desks.Loaded) -> scope.Plan:
    """Return what validation has to know; a view that did not answer alike was left behind with a word, as planned."""
    found, lost = scoping.of(loaded.plan), viewing.left(loaded)
    left = tuple(("view", v.origin, lost[str(v.target)]) for v in loaded.plan.views if str(v.target) in lost)
    return dataclasses.replace(found, not_migrated=found.not_migrated + left)


def _begin(
    desk: desks.Desk,
    loaded: desks.Loaded,
    known: list[verdicts.Run],
    kind: str | None,
    held: hold.Hold,
    mark: str,
) -> verdicts.Run:
    """Journal the beginning of a run, or take up the one that was cut off."""
    last = known[-1] if known else None
    if last is not None and last.status is None and not last.void and kind in (None, last.kind):
        desk.screen.say(f"going on with validation {last.number}, which was cut off")
        desk.store.append(loaded.id, verdicts.TAKEN_UP, {"number": last.number, "epoch": held.epoch}, desk.actor)
        number = last
    else:
        wanted = kind or "full"
        n = (last.number if last else 0) + 1
        verdicts.memory(loaded.id, n).unlink(missing_ok=True)  # of a number that never got into the journal
        begun = {"number": n, "type": wanted, "epoch": held.epoch, "target_mark": mark}
        event = desk.store.append(loaded.id, verdicts.BEGUN, begun, desk.actor)
        number = verdicts.Run(n, wanted, events.to_text(event.at))
        desk.screen.say(f"validation {n} ({wanted})")
    if loaded.status not in (State.VALIDATING, State.CUT_OVER):
        desk.store.transition(loaded.id, State.VALIDATING, desk.actor, payload={"validation": number.number})
    return number


def _scope(
    desk: desks.Desk,
    loaded: desks.Loaded,
    held: hold.Hold,
    number: verdicts.Run,
    plan: scope.Plan,
    found: tuple[model.Pair, ...],
    source: Any,
    target: Any,
) -> scope.Scope:
    shown = verdicts.Progress(desk, loaded, number.number, {p.id: p.rows for p in found})
    path = loaded.beside.get("path") or ""
    memory = home.private_file(verdicts.memory(loaded.id, number.number))
    return scope.Scope(
        loaded.id,
        number.kind,
        source,
        target,
        plan,
        found,
        loaded.config.validation,
        scope.Memory(memory),
        loaded.config.options.parallelism,
        Path(path).parent if path else None,
        held.check,
        shown.told,
        verdicts.places(path),
    )


def _look(loaded: desks.Loaded, scoped: scope.Scope, number: verdicts.Run) -> dict[str, Any]:
    """Look from every perspective, one after the other."""
    outcomes: dict[model.Perspective, model.Outcome] = {}
    seconds: dict[model.Perspective, float] = {}
    for perspective, check in registry.CHECKS.items():
        scoped.pause()
        began = time.monotonic()
        scoped.progress(perspective, "", 0, 0)
        outcomes[perspective] = check(scoped)
        seconds[perspective] = round(time.monotonic() - began, 3)
    return verdicts.put_together(loaded, scoped, number, outcomes, seconds)


def _settle(desk: desks.Desk, loaded: desks.Loaded, number: int, status: str) -> None:
    if desk.store.migration(loaded.id).status is State.VALIDATING:
        desk.store.transition(loaded.id, State(status), desk.actor, payload={"validation": number})


def _failed(desk: desks.Desk, loaded: desks.Loaded, held: hold.Hold, error: errors.SenseiError) -> None:
    with contextlib.suppress(errors.StoreFailed):  # what failed may be the store itself; the first error tells
        if desk.store.migration(loaded.id).status is not State.VALIDATING:
            return  # cut over: no state moves
        desk.store.transition(
            loaded.id,
            State.FAILED,
            desk.actor,
            payload={"code": error.code, "message": error.message, "exit_code": error.exit_code},
        )
        _answer(held, desk, State.FAILED)


def _answer(held: hold.Hold, desk: desks.Desk, status: State) -> None:
    for request in held.answered():
        desk.store.answer(request, {"status": str(status)}, desk.actor)
