"""What other terminals ask of a migration: pause and cancel."""

from __future__ import annotations

import time

from sensei import errors
from sensei.runner import desk as desks
from sensei.runner import hold
from sensei.states import State

#: Seconds that a pause waits for the holder to reach a boundary before it tells that it is still waiting.
PATIENCE = 120.0


def pause(desk: desks.Desk, migration: str, reason: str) -> State:
    """Ask the holder to pause and wait until it has; with no live holder, pause it here."""
    loaded = desk.load(migration)
    if loaded.status is State.PAUSED:
        return State.PAUSED
    loaded.refuse_state(State.RUNNING)
    lease = desk.store.lease(loaded.id)
    if lease is None or not lease.alive:
        with hold.hold(desk, loaded.id) as held:
            desk.load(loaded.id).refuse_state(State.RUNNING)
            desk.store.transition(
                loaded.id,
                State.PAUSED,
                desk.actor,
                returns_to=State.RUNNING,
                payload={"reason": reason or "paused while nobody ran it", "epoch": held.epoch},
            )
        return State.PAUSED
    request = desk.store.request(loaded.id, "pause", {"reason": reason}, desk.actor)
    desk.screen.say(f"asked process {lease.holder.pid} on {lease.holder.host} to stop at the next chunk boundary")
    wait_for(desk, loaded.id, request)
    status = desk.store.migration(loaded.id).status
    lease = desk.store.lease(loaded.id)
    if status is State.RUNNING and (lease is None or not lease.alive):
        return pause(desk, loaded.id, reason)  # its holder died before it heard
    return status


def wait_for(desk: desks.Desk, migration: str, request: str) -> None:
    """Wait until a request is answered or its holder is gone; raises ServerFailed when neither happens."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if desk.store.answer_of(request) is not None:
            return
        lease = desk.store.lease(migration)
        if lease is None or not lease.alive:
            return
        time.sleep(0.2)
    raise errors.ServerFailed(
        f"the runner of {migration} has not stopped yet: it is in the middle of a long statement",
        hint=f"it stops when that ends; sensei migrations status {migration} tells",
    )


def wait_until_free(desk: desks.Desk, migration: str) -> None:
    """Wait until a holder that has answered gives its lease back: it answers first, and ends its work then."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        lease = desk.store.lease(migration)
        if lease is None or not lease.alive:
            return
        time.sleep(0.05)


def cancel(desk: desks.Desk, migration: str, reason: str) -> None:
    """Discard a plan; nothing was touched."""
    loaded = desk.load(migration)
    loaded.refuse_state(State.PLANNED)
    with hold.hold(desk, loaded.id):
        desk.store.transition(
            loaded.id, State.CANCELLED, desk.actor, expect={State.PLANNED}, payload={"reason": reason}
        )
