"""The state store: everything Sensei remembers, and the only way to write it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from sensei import crashpoints, errors
from sensei.journal import actors, chain, database, events, evidence, keys, lease, migrations, requests, schema

# By name, unlike elsewhere: in the annotations of Store, `events` and the like are its own methods.
from sensei.journal.events import Event
from sensei.journal.lease import Holder, Lease, LeaseInfo
from sensei.journal.migrations import Migration, StepRecord
from sensei.states import State, StepState

T = TypeVar("T")

_STEP_STATES = {f"step_{state}": state for state in StepState if state is not StepState.PENDING}
#: Kinds of the events around what `continue_from` begins and its caller ends.
RECOVERY_BEGUN, RECOVERED = "recovery_begun", "recovered"


class Store:
    """An open state store.

    Life cycle: `open_store`, any calls from any thread, `close` (or use it in a ``with``). A process that
    takes a lease through it is fenced: once another process has taken the migration over, each of its
    writes to that migration raises TakenOver. Nothing is ever deleted. Not to be carried over a fork.

    Every write passes the crash points ``journal:KIND:before`` and ``journal:KIND:after`` around its commit.
    """

    def __init__(self, db: database.Database, ring: keys.Keys) -> None:
        self._db = db
        self._ring = ring
        self._epochs: dict[str, int] = {}

    @property
    def label(self) -> str:
        """How messages name this store."""
        return self._db.label

    @property
    def keys(self) -> keys.Keys:
        """The keys that sign this store's journals and those trusted."""
        return self._ring

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Migrations

    def create_migration(
        self,
        id: str,
        name: str,
        environment: str | None,
        config_text: str,
        config_digest: str,
        plan: Mapping[str, Any],
        actor: actors.Actor,
        *,
        source_label: str = "",
        target_label: str = "",
    ) -> None:
        """Write a new migration, planned, with its first event; raises BadInput if the id is taken."""
        now = events.utcnow()
        row = Migration(
            id,
            name,
            environment,
            State.PLANNED,
            None,
            config_text,
            config_digest,
            events.canonical(dict(plan)),
            now,
            now,
            source_label,
            target_label,
        )

        def work(tx: database.Tx) -> Event:
            migrations.insert(tx, row)
            chain.start(tx, id)
            first = self._append(tx, id, migrations.CREATED, migrations.sealed(tx, id), actor)
            tx.run("UPDATE migrations SET created_at = ? WHERE id = ?", (events.to_text(first.at), id))
            return first

        self._journal(id, migrations.CREATED, work)

    def migration(self, id: str) -> Migration:
        """Return the migration of that id or of that unique beginning of an id; raises UnknownName."""
        return self._db.read(lambda tx: migrations.find(tx, id))

    def migrations(self, status: State | None = None) -> list[Migration]:
        """Return all migrations, or those in one state, oldest first."""
        return self._db.read(lambda tx: migrations.all_of(tx, status))

    def replan(
        self, id: str, config_text: str, config_digest: str, plan: Mapping[str, Any], actor: actors.Actor
    ) -> None:
        """Put another configuration and plan in place; the event keeps the digests of both."""

        def work(tx: database.Tx) -> Event:
            self._lock(tx, id)
            migrations.replan(tx, id, config_text, config_digest, plan)
            return self._append(tx, id, migrations.REPLANNED, migrations.sealed(tx, id), actor)

        self._journal(id, migrations.REPLANNED, work)

    def transition(
        self,
        id: str,
        to: State,
        actor: actors.Actor,
        *,
        expect: Collection[State] | None = None,
        returns_to: State | None = None,
        payload: Mapping[str, Any] | None = None,
    ) -> None:
        """Move a migration to another state, status and event in one transaction.

        Raises WrongState, with the right next command as hint, if the state that it is in is not among
        ``expect`` or does not lead there. A paused migration returns to ``returns_to``, by default the state
        that it was paused in.
        """

        def work(tx: database.Tx) -> Event:
            self._lock(tx, id)
            facts = migrations.move(tx, id, to, expect, returns_to)
            return self._append(tx, id, migrations.TRANSITION, {**(payload or {}), **facts}, actor)

        self._journal(id, migrations.TRANSITION, work)

    # Events

    def append(self, id: str, kind: str, payload: Mapping[str, Any], actor: actors.Actor) -> Event:
        """Add an event to a migration's journal and return it; it is durable on return.

        Raises UnknownName, TamperFound (the journal's end is not what was signed), TakenOver, StoreFailed.
        """
        return self._journal(id, kind, lambda tx: self._append(tx, id, kind, payload, actor))

    def events(self, id: str, after: int = 0, kinds: tuple[str, ...] = ()) -> list[Event]:
        """Return the events after a sequence number, oldest first, only those of some kinds if any are named."""
        return self._db.read(lambda tx: chain.read(tx, id, after=after, kinds=kinds))

    def last_of(self, id: str, beginnings: tuple[str, ...]) -> int:
        """Return the number of the latest event whose kind begins with one of these; 0 where there is none."""

        def work(tx: database.Tx) -> int:
            asked = " OR ".join("substr(kind, 1, ?) = ?" for _ in beginnings)
            values = [v for beginning in beginnings for v in (len(beginning), beginning)]
            found = tx.one(f"SELECT max(seq) FROM events WHERE migration_id = ? AND ({asked})", (id, *values))
            return int(found[0]) if found and found[0] is not None else 0

        return self._db.read(work)

    def verify(self, id: str, *, strangers: bool = False) -> list[str]:
        """Return in words everything about a migration that does not match its journal; empty is good.

        A key that this home does not trust is such a thing, unless ``strangers`` is set: then the store is
        believed whose keys they are, and only their signatures must be right.
        """

        def work(tx: database.Tx) -> list[str]:
            problems, found = chain.verify(tx, self._ring, id, migrations.TOLD, strangers=strangers)
            return problems + migrations.problems(tx, id, found)

        return self._db.read(work)

    def check(self, id: str, *, strangers: bool = False) -> None:
        """Raise TamperFound naming each problem that `verify` finds."""
        chain.refuse_tampered(id, self.verify(id, strangers=strangers))

    # Steps

    def step(self, id: str, step_id: str, state: StepState, facts: Mapping[str, Any], actor: actors.Actor) -> None:
        """Journal that a step has begun (before acting), is done, or is undone, with its facts."""
        self.step_all(id, state, {step_id: facts}, actor)

    def step_all(self, id: str, state: StepState, facts: Mapping[str, Mapping[str, Any]], actor: actors.Actor) -> None:
        """As `step`, for several steps in their order and in one transaction: all are journaled, or none.

        Its crash points bear the kind of the first step.
        """
        kind = f"step_{state}"
        if kind not in _STEP_STATES:
            raise errors.Fault(f"steps can't be journaled as {state}: {', '.join(facts)}")
        if facts:
            payloads = [(kind, {"step": step, "facts": dict(found)}) for step, found in facts.items()]
            self._append_all(id, payloads, actor, f"{kind}:{next(iter(facts)).partition(':')[0]}")

    def steps(self, id: str) -> dict[str, StepRecord]:
        """Return where each step stands, in the order in which they were first begun."""
        found: dict[str, StepRecord] = {}
        for event in self._db.read(lambda tx: chain.read(tx, id, kinds=tuple(_STEP_STATES))):
            step, state = event.payload["step"], _STEP_STATES[event.kind]
            # A new attempt starts from its own facts: those of an undone one are no longer true.
            known = {} if state is StepState.BEGUN or step not in found else found[step].facts
            found[step] = StepRecord(state, {**known, **event.payload["facts"]}, event.at)
        return found

    # Lease

    def take_lease(self, id: str, holder: Holder, ttl: float = 30.0) -> Lease:
        """Take a migration for one process; it must `heartbeat` well within every ``ttl`` seconds.

        A dead holder's lease is taken over: its process is gone from this host, or its last heartbeat is
        older than its ttl by the store's clock. Raises LeaseHeld, naming the holder.
        """

        def work(tx: database.Tx) -> tuple[Lease, Event]:
            self._lock(tx, id)
            taken, dead = lease.take(tx, id, holder, ttl)
            payload = {
                "epoch": taken.epoch,
                "host": holder.host,
                "pid": holder.pid,
                "took_over": None if dead is None else {"host": dead.holder.host, "pid": dead.holder.pid},
            }
            actor = actors.current_actor(holder.command)
            return taken, chain.append(tx, self._ring, id, "lease_taken", payload, actor)

        taken = self._committed(id, "lease_taken", work, lambda both: both[1])[0]
        self._epochs[id] = taken.epoch
        return taken

    def continue_from(self, id: str, epoch: int, facts: Mapping[str, Any], actor: actors.Actor) -> None:
        """Journal that a migration came from elsewhere; its leases go on above the epoch that it had there."""

        def work(tx: database.Tx) -> Event:
            self._lock(tx, id)
            lease.continue_from(tx, id, epoch, lease.current_holder(actor.command))
            return self._append(tx, id, RECOVERY_BEGUN, {**facts, "epoch": epoch}, actor)

        self._journal(id, RECOVERY_BEGUN, work)

    def heartbeat(self, id: str, token: str) -> bool:
        """Show that the holder lives; False: the lease was lost, stop at once."""
        return self._db.write(lambda tx: lease.heartbeat(tx, id, token))

    def release(self, id: str, token: str) -> None:
        """Give the lease back, if the token still holds it."""
        crashpoints.reach("journal:lease_released:before")
        self._db.write(lambda tx: lease.release(tx, id, token))
        self._epochs.pop(id, None)
        crashpoints.reach("journal:lease_released:after")

    def lease(self, id: str) -> LeaseInfo | None:
        """Return the migration's last lease, alive or not; None if there never was one."""
        return self._db.read(lambda tx: lease.info(tx, id))

    # Requests

    def request(self, id: str, kind: str, payload: Mapping[str, Any], actor: actors.Actor) -> str:
        """Ask the holder for something; return the request's id."""
        body = {"request": kind, "payload": dict(payload)}
        return requests.id_of(id, self.append(id, requests.ASKED, body, actor).seq)

    def pending_requests(self, id: str) -> list[requests.Request]:
        """Return what was asked and not yet answered, oldest first."""
        return requests.pending(id, self._db.read(lambda tx: chain.read(tx, id, kinds=requests.KINDS)))

    def answer(self, request_id: str, result: Mapping[str, Any], actor: actors.Actor | None = None) -> None:
        """Answer a request; the first answer stands. ``actor`` is by default this process."""
        id, seq = requests.parse(request_id)
        body = {"request": seq, "result": dict(result)}
        self.append(id, requests.ANSWERED, body, actor or actors.current_actor())

    def answer_of(self, request_id: str) -> dict[str, Any] | None:
        """Return the answer to a request, or None while there is none."""
        id, seq = requests.parse(request_id)
        return requests.answer(seq, self._db.read(lambda tx: chain.read(tx, id, after=seq, kinds=(requests.ANSWERED,))))

    # Progress and evidence

    def save_progress(self, id: str, progress: Mapping[str, Any]) -> None:
        """Keep how far a migration is, in place of what was kept before: for display, no evidence."""
        body = events.canonical(dict(progress))

        def work(tx: database.Tx) -> None:
            if id in self._epochs:
                lease.fence(tx, id, self._epochs[id])
            tx.run(
                "INSERT INTO progress (migration_id, body) VALUES (?, ?) "
                "ON CONFLICT (migration_id) DO UPDATE SET body = excluded.body",
                (id, body),
            )

        crashpoints.reach("journal:progress:before")
        self._db.write(work)
        crashpoints.reach("journal:progress:after")

    def progress(self, id: str) -> dict[str, Any] | None:
        """Return what `save_progress` kept last, or None."""
        row = self._db.read(lambda tx: tx.one("SELECT body FROM progress WHERE migration_id = ?", (id,)))
        if row is None:
            return None
        kept: dict[str, Any] = json.loads(row[0])
        return kept

    def add_evidence(self, id: str, item: Mapping[str, Any], actor: actors.Actor | None = None) -> str:
        """Register something kept as evidence; return the id of the entry."""
        return self.add_evidence_all(id, [item], actor)[0]

    def add_evidence_all(
        self, id: str, items: Sequence[Mapping[str, Any]], actor: actors.Actor | None = None
    ) -> list[str]:
        """As `add_evidence`, for several things in one transaction: all are registered, or none."""
        if not items:
            return []
        kept = [(evidence.KEPT, {"item": dict(item)}) for item in items]
        written = self._append_all(id, kept, actor or actors.current_actor(), evidence.KEPT)
        return [f"{id}/{event.seq}" for event in written]

    def purge_evidence(self, evidence_id: str, actor: actors.Actor | None = None) -> None:
        """Note that a piece of evidence is gone; the entry itself stays. Raises UnknownName."""
        self.purge_evidence_all(requests.parse(evidence_id)[0], [evidence_id], actor)

    def purge_evidence_all(self, id: str, evidence_ids: Sequence[str], actor: actors.Actor | None = None) -> None:
        """As `purge_evidence`, for several things of one migration in one transaction."""
        known = {item["id"] for item in self.evidence(id)}
        for one in evidence_ids:
            if one not in known:
                raise errors.UnknownName(f"there is no evidence {one}", hint=f"sensei evidence list {id}")
        gone = [(evidence.PURGED, {"evidence": requests.parse(one)[1]}) for one in evidence_ids]
        if gone:
            self._append_all(id, gone, actor or actors.current_actor(), evidence.PURGED)

    def evidence(self, id: str | None = None) -> list[dict[str, Any]]:
        """Return the entries of one migration or of all.

        Each is its item with ``id``, ``migration``, ``at`` and ``purged_at`` (None while it is there); times
        are ISO 8601 text in UTC.
        """

        def work(tx: database.Tx) -> list[dict[str, Any]]:
            ids = (
                [id]
                if id is not None
                else [row[0] for row in tx.all("SELECT id FROM migrations ORDER BY created_at, id")]
            )
            return [item for one in ids for item in evidence.entries(one, chain.read(tx, one, kinds=evidence.KINDS))]

        return self._db.read(work)

    # How everything above is written

    def _lock(self, tx: database.Tx, id: str) -> None:
        # The head comes first in every transaction, so that writers queue up and can't deadlock.
        if tx.one(f"SELECT seq FROM heads WHERE migration_id = ?{tx.for_update}", (id,)) is None:
            raise migrations.unknown(tx, id)

    def _append(self, tx: database.Tx, id: str, kind: str, payload: Mapping[str, Any], actor: actors.Actor) -> Event:
        event = chain.append(tx, self._ring, id, kind, payload, actor)
        if id in self._epochs:  # after the append, which holds off whoever would take the lease now
            lease.fence(tx, id, self._epochs[id])
        return event

    def _append_all(
        self, id: str, payloads: Sequence[tuple[str, Mapping[str, Any]]], actor: actors.Actor, point: str
    ) -> list[Event]:
        """Append several events, (kind, payload), in one transaction: a thousand of their own cost a thousand waits."""
        return self._committed(
            id,
            point,
            lambda tx: [self._append(tx, id, kind, payload, actor) for kind, payload in payloads],
            lambda written: written[-1],
        )

    def _journal(self, id: str, kind: str, work: Callable[[database.Tx], Event], *, point: str = "") -> Event:
        return self._committed(id, point or kind, work, lambda event: event)

    def _committed(
        self,
        id: str,
        point: str,
        work: Callable[[database.Tx], T],
        event_of: Callable[[T], Event],
    ) -> T:
        """Run ``work`` in a transaction; where the answer to COMMIT is lost, look for its event."""
        written: list[T] = []

        def kept(tx: database.Tx) -> T:
            written[:] = [work(tx)]
            return written[0]

        crashpoints.reach(f"journal:{point}:before")
        try:
            result = self._db.write(kept)
        except errors.CommitUnknown as e:
            result = written[0]
            event = event_of(result)
            if not self._db.read(lambda tx: chain.holds(tx, id, event.hash)):
                raise errors.StoreFailed(
                    f"the connection to the state store {self.label} was lost before it kept an event",
                    hint="nothing was written; run the same command again",
                ) from e
        crashpoints.reach(f"journal:{point}:after")
        return result


def open_store(url: str, home: Path) -> Store:
    """Open the state store behind a URL, making or upgrading its tables; keys are kept in ``home``.

    Raises BadInput for a URL that can't be a store; StoreFailed for one that can't be reached, written or
    understood, or that a newer Sensei made.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise errors.StoreFailed(
            f"the home {home} can't be made: {e.strerror}",
            hint="set SENSEI_HOME to a folder that you can write",
        ) from e
    db = database.open_database(url)
    try:
        schema.prepare(db, "sqlite" if url.startswith("sqlite:") else "postgres")
    except BaseException:
        db.close()
        raise
    return Store(db, keys.Keys(home))
