"""Keeps the rollback script current: in the artifacts from the first moment on, and in the target once it is there."""

from __future__ import annotations

import os
import time
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


#: Seconds between two writes of the script while steps follow each other.
EVERY = 1.0
#: Stands for the state until it is known: all else of a script depends on the plan alone. Only its first place is
#: filled in: the head comes first, and names of objects, which might hold anything, after it.
_STATE = "@STATE@"


class Keeper:
    """Keeps the script of one run current: anew after a step, but not more than once in `EVERY` seconds.

    Whatever the state, the script takes back every step of the plan that took effect: only the line that says how far
    the migration has come may be behind. Written after each step of thousands of tables, megabytes at a time, it would
    cost more than the migration.
    """

    def __init__(self, loaded: desks.Loaded) -> None:
        self.loaded = loaded
        self._template = text(loaded, _STATE)
        self._written = 0.0

    def after(self, step: str) -> None:
        """Write it anew, if that was not done just now."""
        if time.monotonic() - self._written >= EVERY:
            self.say(f"after step {step}")
            self._written = time.monotonic()

    def say(self, state: str) -> str:
        """Write it anew with this state, and return it."""
        body = self._template.replace(_STATE, " ".join(state.split()), 1)
        _put(self.loaded, body)
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
