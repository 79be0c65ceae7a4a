"""Keeps the rollback script current: in the artifacts from the first moment on, and in the target once it is there."""

from __future__ import annotations

import os
from pathlib import Path

from sensei import crashpoints, errors, rollback, states
from sensei.config import home
from sensei.engines import base, ledger
from sensei.runner import desk as desks
from sensei.runner import taken


def text(loaded: desks.Loaded, state: str) -> str:
    """Return the script; needs neither side to be reachable."""
    from sensei import engines

    engine = engines.by_name(loaded.plan.target_engine)
    earlier = taken.taken(loaded)
    return rollback.script(
        loaded.plan,
        engine,
        loaded.id,
        loaded.config.options.evidence,
        state,
        taken.next_number(earlier),
        taken.places(loaded, earlier),
    )


#: Stands for the state until it is known: all else of a script depends on the plan alone. Only its first place is
#: filled in: the head comes first, and names of objects, which might hold anything, after it.
_STATE = "@STATE@"
#: Bytes that the state has room for, so that a later one takes the place of an earlier one and nothing moves.
_ROOM = 200


class Keeper:
    """Keeps the script of one run current, anew after each step.

    Whatever the state, the script takes back every step of the plan that took effect: only the line that says how far
    the migration has come changes. That line alone is written over: after each of thousands of steps, a script of
    megabytes written whole would cost more than the migration.
    """

    def __init__(self, loaded: desks.Loaded) -> None:
        self.loaded = loaded
        head, _, rest = text(loaded, _STATE).partition(_STATE)
        self._head, self._rest = head.encode(), rest.encode()
        self._whole = False

    def after(self, step: str) -> None:
        """Say in the script that it was made after this step."""
        state = self._padded(f"after step {step}")
        place = home.artifacts(self.loaded.id) / "rollback.sql"
        size = len(self._head) + _ROOM + len(self._rest)
        try:
            whole = self._whole and len(state) == _ROOM and place.stat().st_size == size
        except OSError:  # somebody took it away
            whole = False
        if not whole:
            self._put(state)
            return
        fd = os.open(place, os.O_WRONLY)
        try:  # one write of less than a page: a kill comes before or after it
            os.pwrite(fd, state, len(self._head))
        finally:
            os.close(fd)

    def say(self, state: str) -> str:
        """Write it anew with this state, and return it."""
        return self._put(self._padded(state))

    def _padded(self, state: str) -> bytes:
        return " ".join(state.split()).encode().ljust(_ROOM)

    def _put(self, state: bytes) -> str:
        body = (self._head + state + self._rest).decode()
        _put(self.loaded, body)
        self._whole = True
        return body


def renew(loaded: desks.Loaded, state: str) -> None:
    """Write the script anew into the artifacts."""
    _put(loaded, text(loaded, state))


def _put(loaded: desks.Loaded, body: str) -> None:
    """Put a script in the place of the one that is there, which stays whole until the new one is."""
    place = home.artifacts(loaded.id) / "rollback.sql"
    fresh = home.private_file(place.with_suffix(".new"))
    fresh.write_text(body, encoding="utf-8")
    crashpoints.reach("script:rename:before")
    fresh.replace(place)
    crashpoints.reach("script:rename:after")


def keep_in_target(loaded: desks.Loaded, session: base.Session, body: str) -> None:
    """Keep it beside the data too."""
    ledger.Ledger(loaded.sides()[1].engine, loaded.id).keep_script(session, body)


def write(desk: desks.Desk, loaded: desks.Loaded, output: Path, force: bool) -> None:
    """Write the script where the operator wants it; raises BadInput where it can't be."""
    if loaded.status is states.State.CANCELLED:
        loaded.refuse_state(*(s for s in states.State if s is not states.State.CANCELLED))
    body = text(loaded, f"status {loaded.status}")
    try:
        # 0600: it names objects of production, and nobody else's umask decides who reads it.
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
        with os.fdopen(os.open(output, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(body)
    except FileExistsError as error:
        raise errors.BadInput(
            f"{output} is already there", hint="name another file, or say --yes to write over it"
        ) from error
    except OSError as error:
        raise errors.BadInput(
            f"{output} can't be written: {error.strerror}", hint="name a file in a folder that you can write to"
        ) from error
