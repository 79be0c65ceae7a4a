"""Holds a migration: takes the lease, shows that it lives, and hears what other terminals ask for."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from sensei import errors, journal
from sensei.runner import desk as desks

HEARTBEAT = 1.0  #: seconds
TTL = 30.0  #: seconds without a heartbeat after which a holder on another host counts as dead


@contextlib.contextmanager
def going_on(command: str) -> Iterator[None]:
    """Let a server's failure that does not say how to go on name the command that does."""
    try:
        yield
    except errors.ServerFailed as error:
        error.hint = error.hint or f"see that the {error.side or 'server'} is well, then {command}"
        raise


class Hold:
    """A lease in hand. `stop` turns true when somebody asked for a pause, or the lease was lost."""

    def __init__(self, desk: desks.Desk, migration: str) -> None:
        self.desk, self.migration = desk, migration
        self.holder = journal.current_holder()
        self.epoch = 0
        self.reason = ""
        self.lost = False
        self._stop = threading.Event()
        self._done = threading.Event()
        self._asked: list[str] = []

    def stop(self) -> bool:
        """Tell whether to stop at the next boundary."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise Paused or TakenOver where it is time to stop; called between steps."""
        if self.lost:
            raise errors.TakenOver(
                f"{self.migration} was taken over by another process",
                hint=f"sensei migrations status {self.migration}",
            )
        if self._stop.is_set():
            raise errors.Paused(self.reason or "paused")

    def ask(self, reason: str) -> None:
        """Stop at the next boundary."""
        self.reason = self.reason or reason
        self._stop.set()

    def answered(self) -> list[str]:
        """Return the requests that were heard; the caller answers them once it has acted."""
        return list(self._asked)

    def beat(self) -> None:
        """Show life and listen until released."""
        while not self._done.wait(HEARTBEAT):
            try:
                if not self.desk.store.heartbeat(self.migration, self.holder.token):
                    self.lost = True
                    self._stop.set()
                    return
                for request in self.desk.store.pending_requests(self.migration):
                    if request.kind == "pause" and request.id not in self._asked:
                        self._asked.append(request.id)
                        reason = str(request.payload.get("reason") or "asked for by another terminal")
                        self.ask(reason)
                        self.desk.screen.say(f"pausing at the next chunk boundary: {reason}")
            except errors.StoreFailed:
                # The store may come back; without a heartbeat for TTL seconds others may take over, and every
                # write of ours is then refused by the epoch.
                continue


@contextlib.contextmanager
def hold(desk: desks.Desk, migration: str) -> Iterator[Hold]:
    """Hold a migration for a block. Ctrl-C, SIGTERM and SIGHUP ask it to pause. Raises LeaseHeld."""
    held = Hold(desk, migration)
    held.epoch = desk.store.take_lease(migration, held.holder, TTL).epoch
    for request in desk.store.pending_requests(migration):
        # Asked of a holder that died before it heard: to obey it now would pause whoever goes on.
        desk.store.answer(request.id, {"status": "not heard: its holder was gone"}, desk.actor)
    thread = threading.Thread(target=held.beat, daemon=True, name="sensei-heartbeat")
    thread.start()
    with _signals(held):
        try:
            yield held
        finally:
            held._done.set()
            thread.join(timeout=15)
            with contextlib.suppress(errors.SenseiError):  # an unreleased lease is taken over all the same
                desk.store.release(migration, held.holder.token)


@contextlib.contextmanager
def _signals(held: Hold) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    words = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "the terminal went away"}

    def pause(number: int, frame: FrameType | None) -> None:
        held.ask(words[signal.Signals(number)])

    old: dict[int, Any] = {n: signal.signal(n, pause) for n in words}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
