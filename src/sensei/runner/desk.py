"""Where the conductor sits: home, store, connections, and who is asking."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sensei import errors, journal, states
from sensei.config import connections, home
from sensei.config import migration as configuration
from sensei.engines import base, ledger
from sensei.journal import actors, migrations, store
from sensei.plan import model
from sensei.work import fingerprint, sides


def _quiet(text: str) -> None:
    """Nobody listens."""


@dataclass
class Screen:
    """What the conductor tells an operator while it works; the command line and the demo draw it."""

    say: Callable[[str], None] = _quiet
    progress: Callable[[dict[str, Any]], None] = lambda progress: None


@dataclass
class Desk:
    """One process's view of Sensei's home."""

    home: Path
    store: store.Store
    book: connections.ConnectionBook
    actor: actors.Actor
    screen: Screen = field(default_factory=Screen)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def load(self, migration: str) -> Loaded:
        """Return a migration with its plan and configuration; raises UnknownName, TamperFound."""
        row = self.store.migration(migration)
        self.store.check(row.id, strangers=True)
        return Loaded(self, row)

    def side(self, role: base.Purpose, name: str, named: dict[str, str]) -> sides.Side:
        """Return one end; its URL's variables are read now and kept nowhere."""
        return sides.Side(role, name, self.book.open_url(name, named, os.environ))


def open_desk(screen: Screen | None = None) -> Desk:
    """Open home, store and connections; raises StoreFailed."""
    place = home.home()
    return Desk(
        place,
        journal.open_store(home.store_url(), place),
        connections.ConnectionBook(place),
        actors.current_actor(),
        screen or Screen(),
    )


class Loaded:
    """One migration, read from the store; its plan, megabytes for thousands of tables, when it is first asked for."""

    def __init__(self, desk: Desk, row: migrations.Migration) -> None:
        self.desk, self.row = desk, row
        self.id = row.id

    @property
    def config(self) -> configuration.MigrationConfig:
        """What the operator asked for."""
        return self._read[0]

    @property
    def plan(self) -> model.Plan:
        """The plan as it is now."""
        return self._read[1]

    @property
    def beside(self) -> dict[str, Any]:
        """What is stored beside the plan: the configuration as data, its path, the environment."""
        return self._read[2]

    @functools.cached_property
    def _read(self) -> tuple[configuration.MigrationConfig, model.Plan, dict[str, Any]]:
        # As data the plan takes several times what it takes as objects: it is not kept.
        data = self.row.plan
        made = model.Plan.from_json(data.pop("plan"))
        return configuration.MigrationConfig.model_validate_json(json.dumps(data["config"])), made, data

    @property
    def status(self) -> states.State:
        """The state when the row was read."""
        return self.row.status

    def sides(self) -> tuple[sides.Side, sides.Side]:
        """Return source and target."""
        named = dict(self.config.connections)
        return (
            dataclasses.replace(
                self.desk.side(base.Purpose.SOURCE, self.config.source.connection, named), seen=self.plan.sights
            ),
            self.desk.side(base.Purpose.TARGET, self.config.target.connection, named),
        )

    def book(self) -> ledger.Ledger:
        """Return the migration's ledger on the target."""
        return ledger.Ledger(self.sides()[1].engine, self.id)

    def fingerprint(self) -> fingerprint.Fingerprint | None:
        """Return the fingerprint taken by start, or None before it."""
        step = self.desk.store.steps(self.id).get("fingerprint")
        if step is None or "fingerprint" not in step.facts:
            return None
        return fingerprint.Fingerprint.from_json(step.facts["fingerprint"])

    def refuse_state(self, *allowed: states.State) -> None:
        """Raise WrongState unless the migration is in one of these states."""
        if self.status not in allowed:
            raise errors.WrongState(
                f"{self.id} is {_words(self.status)}{_only_while(allowed)}",
                hint=self.next_command(),
                status=str(self.status),
            )

    def next_command(self) -> str:
        """Return what an operator can do now; a migration whose runner died is resumed."""
        from sensei.runner import taken  # which reads migrations that are loaded

        if self.status is states.State.ROLLING_BACK and (command := taken.go_on(self, taken.taken(self))):
            return f"{command} (goes on where it was cut off), or: sensei migrations rollback {self.id} --full"
        lease = self.desk.store.lease(self.id)
        return next_command(self.row, lease is not None and lease.alive)


def _words(state: states.State) -> str:
    return state.value.replace("_", " ")


def _only_while(allowed: tuple[states.State, ...]) -> str:
    if len(allowed) > 4:  # most of the states: the one that it is in says enough
        return ""
    head, last = [_words(s) for s in allowed[:-1]], _words(allowed[-1])
    return "; this is only done while it is " + (f"{', '.join(head)} or {last}" if head else last)


def next_command(row: migrations.Migration, is_held: bool) -> str:
    """Return the command, or commands, that go on from where a migration stands."""
    if row.status is states.State.RUNNING and not is_held:
        row = dataclasses.replace(row, status=states.State.FAILED)  # left the same ways
    return migrations.next_command(row.status, row.id)
