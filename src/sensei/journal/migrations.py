"""The row of a migration: what was asked, what is planned, and where it stands."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sensei import errors, states
from sensei.journal import database, events
from sensei.states import State

CREATED, REPLANNED, TRANSITION = "created", "replanned", "transition"
#: Kinds of events that tell what a row has to be.
TOLD = (CREATED, REPLANNED, TRANSITION)

_STORED = (
    "id, name, environment, status, returns_to, config_text, config_digest, plan, created_at, source_label, "
    "target_label"
)
#: The time of the latest event is read from the journal: kept in the row, each of thousands of events would write the
#: row anew, and a plan of megabytes with it.
_COLUMNS = (
    f"{_STORED}, (SELECT e.at FROM events e WHERE e.migration_id = migrations.id ORDER BY e.seq DESC LIMIT 1)"
    " AS updated_at"
)


@dataclass(frozen=True)
class Migration:
    """One migration as the store holds it."""

    id: str
    name: str
    environment: str | None
    status: State
    returns_to: State | None  #: where a paused migration goes on; None otherwise
    config_text: str
    config_digest: str
    plan_text: str  #: JSON, megabytes for thousands of tables: see `plan`
    created_at: datetime
    updated_at: datetime  #: time of the latest event
    source_label: str = ""
    target_label: str = ""

    @property
    def plan(self) -> dict[str, Any]:
        """The plan with all that belongs to it, read anew each time; raises TamperFound."""
        with _readable(self.id):
            found = json.loads(self.plan_text)
            if not isinstance(found, dict):
                raise ValueError("its plan is no document")
            return found


@dataclass(frozen=True)
class StepRecord:
    """Where a step stands, from its latest attempt."""

    state: states.StepState
    facts: dict[str, Any]  #: of begun and done, merged; what the undo added once it is undone
    at: datetime


#: The command that goes on from each state, with ID for the migration's id.
_NEXT = {
    State.PLANNED: "sensei migrations start ID, or: sensei migrations cancel ID --reason TEXT",
    State.RUNNING: "sensei migrations status ID, or: sensei migrations pause ID",
    State.PAUSED: "sensei migrations resume ID, or: sensei migrations rollback ID --full",
    State.FAILED: "sensei migrations resume ID, or: sensei migrations rollback ID --full",
    State.COMPLETED: "sensei validations run ID, or take it back: sensei migrations rollback ID --full --verify",
    State.VALIDATING: "sensei migrations status ID, or where nobody runs it: sensei validations run ID",
    State.VALIDATED: "sensei validations report ID, or take it back: sensei migrations rollback ID --full --verify",
    State.VALIDATION_FAILED: "sensei validations report ID --failures-only, then: sensei validations run ID",
    State.CUTTING_OVER: "sensei migrations status ID",
    State.CUT_OVER: "sensei migrations finalize ID, or: sensei migrations switch-back ID",
    State.SWITCHING_BACK: "sensei migrations status ID",
    State.FINALIZED: "sensei migrations status ID; a finalized migration is over",
    State.ROLLING_BACK: "sensei migrations rollback ID --full (goes on where it was cut off)",
    State.ROLLED_BACK: "sensei migrations verify-rollback ID, or plan anew: sensei migrations create --config FILE",
    State.CANCELLED: "sensei migrations create --config FILE",
}


def next_command(status: State, migration: str) -> str:
    """Return the command, or commands, that an operator can give in a state."""
    return _NEXT[status].replace("ID", migration)


def insert(tx: database.Tx, migration: Migration) -> None:
    """Write a new row; raises BadInput if the id is taken."""
    if tx.one("SELECT 1 FROM migrations WHERE id = ?", (migration.id,)) is not None:
        raise errors.BadInput(f"there is a migration {migration.id} already")
    values = (
        migration.id,
        migration.name,
        migration.environment,
        migration.status.value,
        None,
        migration.config_text,
        migration.config_digest,
        migration.plan_text,
        events.to_text(migration.created_at),
        migration.source_label,
        migration.target_label,
    )
    tx.run(f"INSERT INTO migrations ({_STORED}) VALUES ({', '.join('?' * len(values))})", values)


def replan(tx: database.Tx, migration: str, text: str, digest: str, plan: Mapping[str, Any]) -> None:
    """Put another configuration and plan in place of the row's."""
    tx.run(
        "UPDATE migrations SET config_text = ?, config_digest = ?, plan = ? WHERE id = ?",
        (text, digest, events.canonical(dict(plan)), migration),
    )


def sealed(tx: database.Tx, migration: str) -> dict[str, Any]:
    """Return what the created and replanned events seal of the row, so that `problems` can compare."""
    row = tx.one(f"SELECT {_COLUMNS} FROM migrations WHERE id = ?", (migration,))
    assert row is not None
    return _seal(row)


def _seal(row: database.Row) -> dict[str, Any]:
    return {
        "name": row[1],
        "environment": row[2],
        "config_digest": row[6],
        "config_text_digest": events.digest(str(row[5])),
        "plan_digest": events.digest(str(row[7])),
        "source_label": row[9],
        "target_label": row[10],
    }


def find(tx: database.Tx, id_or_prefix: str) -> Migration:
    """Return the migration of that id, or the only one whose id begins so; raises UnknownName."""
    row = tx.one(f"SELECT {_COLUMNS} FROM migrations WHERE id = ?", (id_or_prefix,))
    if row is not None:
        return _migration(row)
    rows = []
    if id_or_prefix:
        rows = tx.all(
            f"SELECT {_COLUMNS} FROM migrations WHERE substr(id, 1, ?) = ? ORDER BY id",
            (len(id_or_prefix), id_or_prefix),
        )
    if len(rows) == 1:
        return _migration(rows[0])
    if rows:
        several = ", ".join(row[0] for row in rows[:5]) + (", …" if len(rows) > 5 else "")
        raise errors.UnknownName(
            f"{id_or_prefix} is the beginning of several migrations: {several}",
            hint="give more of the id; see: sensei migrations list",
        )
    raise unknown(tx, id_or_prefix)


def unknown(tx: database.Tx, migration: str) -> errors.UnknownName:
    """Return the error for an id that no migration has, naming the nearest."""
    import difflib

    ids = [row[0] for row in tx.all("SELECT id FROM migrations ORDER BY created_at DESC")]
    near = difflib.get_close_matches(migration, ids, n=3, cutoff=0.6)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return errors.UnknownName(f"there is no migration {migration}{meant}", hint="sensei migrations list", nearest=near)


def all_of(tx: database.Tx, status: State | None) -> list[Migration]:
    """Return all migrations, or those in one state, oldest first."""
    where, values = (" WHERE status = ?", (status.value,)) if status is not None else ("", ())
    return [
        _migration(row) for row in tx.all(f"SELECT {_COLUMNS} FROM migrations{where} ORDER BY created_at, id", values)
    ]


def move(
    tx: database.Tx,
    migration: str,
    to: State,
    expect: Collection[State] | None,
    returns_to: State | None,
) -> dict[str, Any]:
    """Change the row's status if that is legal and return what the event must say; raises WrongState.

    The caller holds the chain's head locked, so that the state looked at is the state left.
    """
    row = tx.one("SELECT status, returns_to FROM migrations WHERE id = ?", (migration,))
    if row is None:
        raise unknown(tx, migration)
    before = State(row[0])
    if (expect is not None and before not in expect) or not states.allowed(before, to):
        raise errors.WrongState(
            f"{migration} is {_words(before)}: it can't become {_words(to)}",
            hint=next_command(before, migration),
            status=before.value,
            wanted=to.value,
        )
    if to is not State.PAUSED:
        returns_to = None
    elif returns_to is None:  # a rollback of some tables leaves a migration that goes on copying
        returns_to = State.RUNNING if before is State.ROLLING_BACK else before
    tx.run(
        "UPDATE migrations SET status = ?, returns_to = ? WHERE id = ?",
        (to.value, returns_to.value if returns_to is not None else None, migration),
    )
    return {
        "from": before.value,
        "to": to.value,
        "returns_to": returns_to.value if returns_to is not None else None,
    }


def problems(tx: database.Tx, migration: str, chain: list[events.Event]) -> list[str]:
    """Return where the row differs from what its events say of it, in words."""
    row = tx.one(f"SELECT {_COLUMNS} FROM migrations WHERE id = ?", (migration,))
    if row is None:
        return [f"the row of migration {migration} is missing"]
    found: list[str] = []
    status: tuple[object, object] = (State.PLANNED.value, None)
    seal: dict[str, Any] = {}
    for event in chain:
        if event.kind == TRANSITION:
            status = (event.payload.get("to"), event.payload.get("returns_to"))
        elif event.kind in (CREATED, REPLANNED):
            seal = event.payload
    if row[3] != status[0]:
        found.append(f"the status is {row[3]}, but the last transition in the journal led to {status[0]}")
    if row[4] != status[1]:
        found.append(f"the state to return to is {row[4]}, but the journal says {status[1]}")
    for name, value in _seal(row).items():
        if seal.get(name) != value:
            found.append(f"the {name.removesuffix('_digest').replace('_', ' ')} differs from what was journaled")
    if chain and row[8] != events.to_text(chain[0].at):
        found.append("the time of creation differs from what was journaled")
    return found


@contextlib.contextmanager
def _readable(id: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError) as e:
        raise errors.TamperFound(
            f"the row of migration {id} can't be read: {e}",
            hint="keep a copy of the state store and compare it with its latest backup",
        ) from e


def _migration(row: database.Row) -> Migration:
    with _readable(row[0]):
        return _read(row)


def _read(row: database.Row) -> Migration:
    return Migration(
        id=row[0],
        name=row[1],
        environment=row[2],
        status=State(row[3]),
        returns_to=State(row[4]) if row[4] is not None else None,
        config_text=row[5],
        config_digest=row[6],
        plan_text=str(row[7]),
        created_at=events.from_text(row[8]),
        source_label=row[9],
        target_label=row[10],
        updated_at=events.from_text(row[11]),
    )


def _words(state: State) -> str:
    return state.value.replace("_", " ")
