"""The ledger in the target: epoch, objects, chunks and quarantine, written in the transaction that they tell of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sensei import catalog, crashpoints, errors
from sensei.engines import base, ledger_attempts, ledger_quarantine

VERSION = 1

#: Column types are the engine's words: see `base.LedgerWords`.
_TABLES = {
    "migrations": """
        id {identifier} NOT NULL PRIMARY KEY, token {text} NOT NULL, epoch BIGINT NOT NULL, state {text} NOT NULL,
        source {text} NOT NULL, plan {text} NOT NULL, version BIGINT NOT NULL, changed_at {text} NOT NULL""",
    "steps": """
        migration {identifier} NOT NULL, step {name} NOT NULL, state {text} NOT NULL, facts {text} NOT NULL,
        changed_at {text} NOT NULL, PRIMARY KEY (migration, step)""",
    "objects": """
        migration {identifier} NOT NULL, step {name} NOT NULL, kind {text} NOT NULL, schema_name {text} NOT NULL,
        object_name {text} NOT NULL, identity {text} NOT NULL, changed_at {text} NOT NULL,
        PRIMARY KEY (migration, step)""",
    "chunk_plan": """
        migration {identifier} NOT NULL, table_name {name} NOT NULL, attempt BIGINT NOT NULL, chunk BIGINT NOT NULL,
        lower_key {text}, upper_key {text}, PRIMARY KEY (migration, table_name, attempt, chunk)""",
    "chunks": """
        migration {identifier} NOT NULL, table_name {name} NOT NULL, attempt BIGINT NOT NULL, chunk BIGINT NOT NULL,
        epoch BIGINT NOT NULL, rows_read BIGINT NOT NULL, rows_quarantined BIGINT NOT NULL,
        form {text} NOT NULL, checksum {text} NOT NULL, changed_at {text} NOT NULL,
        PRIMARY KEY (migration, table_name, attempt, chunk)""",
    "quarantine": """
        migration {identifier} NOT NULL, table_name {name} NOT NULL, attempt BIGINT NOT NULL, chunk BIGINT NOT NULL,
        position BIGINT NOT NULL, row_key {text} NOT NULL, column_name {text} NOT NULL, reason {text} NOT NULL,
        row_value {text} NOT NULL, changed_at {text} NOT NULL,
        PRIMARY KEY (migration, table_name, attempt, chunk, position)""",
    "scripts": "migration {identifier} NOT NULL PRIMARY KEY, body {text} NOT NULL, changed_at {text} NOT NULL",
}

#: Chunk number of rows that a constraint built after the load turned out.
AFTER_LOAD = -1


@dataclass(frozen=True)
class Chunk:
    """One planned chunk of a table."""

    table: str
    attempt: int
    number: int
    lower: base.KeyValue | None
    upper: base.KeyValue | None


@dataclass(frozen=True)
class Applied:
    """One chunk that is in the target."""

    table: str
    attempt: int
    number: int
    rows_read: int
    rows_quarantined: int
    form: str
    checksum: str


@dataclass(frozen=True)
class Known:
    """One migration as a target's ledger knows it."""

    id: str
    token: str
    epoch: int
    state: str
    source: str  #: how the source was named, for people
    plan: str  #: JSON of plan and configuration
    version: int


def known(engine: base.Engine, session: base.Session) -> list[Known]:
    """Return every migration that the ledger in this database knows; none where there is no ledger."""
    try:
        found = session.rows(
            f"SELECT id, token, epoch, state, source, plan, version FROM {engine.ledger_prefix}migrations"
            " ORDER BY changed_at, id"
        )
    except errors.UnknownName:
        return []
    return [Known(str(i), str(t), int(e), str(s), str(f), str(p), int(v)) for i, t, e, s, f, p, v in found]


def as_json(value: object) -> str:
    """Write a key or a row as JSON text that an operator can read."""
    return json.dumps(value, ensure_ascii=False)


class Ledger(ledger_quarantine.Quarantine):
    """The ledger of one migration, spoken to through a session on the target.

    Methods that write expect the caller's transaction, except `set_up`, `raise_epoch`, `plan_chunks` and
    `keep_script`, which are whole in themselves.
    """

    # -- set up and epoch

    def exists(self, session: base.Session) -> bool:
        """Tell whether the ledger's tables are in this database and know this migration."""
        try:
            return bool(session.rows(f"SELECT 1 FROM {self.name('migrations')} WHERE id = ?", [self.migration]))
        except errors.UnknownName:
            return False

    def set_up(self, session: base.Session, token: str, source: str, plan: str) -> None:
        """Create the ledger's tables where they are missing and enter this migration; safe to repeat."""
        alone = not self.engine.capabilities.transactional_ddl
        if alone:  # each statement commits by itself, and is harmless to repeat
            self._create_tables(session)
        with base.transaction(session):
            if not alone:
                self._create_tables(session)
            known = session.rows(f"SELECT token, version FROM {self.name('migrations')} WHERE id = ?", [self.migration])
            if known and (known[0][0] != token or int(known[0][1]) > VERSION):
                raise errors.WorldChanged(
                    f"the target holds a ledger for {self.migration} that this state store did not write",
                    hint="check that the connection names the right database",
                )
            if not known:
                session.run(
                    f"INSERT INTO {self.name('migrations')} VALUES (?, ?, 0, 'running', ?, ?, ?, ?)",
                    [self.migration, token, source, plan, VERSION, ledger_attempts.now()],
                )
            crashpoints.reach("ledger:set_up:before")
        crashpoints.reach("ledger:set_up:after")

    def _create_tables(self, session: base.Session) -> None:
        words = self.engine.ledger_words
        kinds = {"identifier": words.identifier, "name": words.name, "text": words.text}
        for statement in self.engine.ledger_setup:
            session.run(statement)
        for table, columns in _TABLES.items():
            session.run(f"CREATE TABLE IF NOT EXISTS {self.name(table)} ({columns.format(**kinds)}){words.options}")

    def keep_plan(self, session: base.Session, plan: str) -> None:
        """Put an amended plan in place of the one that is kept, for a home that is made anew from the ledger."""
        with base.transaction(session):
            session.run(f"UPDATE {self.name('migrations')} SET plan = ? WHERE id = ?", [plan, self.migration])
            crashpoints.reach("ledger:keep_plan:before")
        crashpoints.reach("ledger:keep_plan:after")

    def raise_epoch(self, session: base.Session, epoch: int, after_script: bool = False) -> None:
        """Fence off every earlier runner: after this commits, none of its transactions can, nor any DDL of its.

        `after_script`: a rollback may go on where a rollback script was cut off, which raised the epoch beyond every
        runner's.
        """
        with base.fenced(self.engine, session, self.migration), base.transaction(session):
            changed = session.run(
                f"UPDATE {self.name('migrations')} SET epoch = ?, changed_at = ? WHERE id = ? AND epoch <= ?",
                [epoch, ledger_attempts.now(), self.migration, epoch],
            )
            scripted = after_script and changed != 1 and self._epoch(session) >= base.SCRIPT_EPOCH > epoch
            if changed != 1 and not scripted:
                raise errors.TakenOver(
                    f"another runner has taken {self.migration} over",
                    hint=f"sensei migrations status {self.migration}",
                )
            crashpoints.reach("ledger:raise_epoch:before")
        crashpoints.reach("ledger:raise_epoch:after")

    def _epoch(self, session: base.Session) -> int:
        found = session.rows(f"SELECT epoch FROM {self.name('migrations')} WHERE id = ?", [self.migration])
        return int(found[0][0]) if found else 0

    def hold_epoch(self, session: base.Session, epoch: int) -> None:
        """Lock the epoch row against a take-over for this transaction; raises TakenOver."""
        found = session.rows(
            f"SELECT epoch, state FROM {self.name('migrations')} WHERE id = ?{self.engine.ledger_words.share}",
            [self.migration],
        )
        if not found or int(found[0][0]) != epoch or found[0][1] != "running":
            raise errors.TakenOver(
                f"another runner has taken {self.migration} over, or it was rolled back",
                hint=f"sensei migrations status {self.migration}",
            )

    def hold_alone(self, session: base.Session) -> None:
        """Lock the epoch row for this transaction, so that no other rollback goes on meanwhile."""
        session.run(f"UPDATE {self.name('migrations')} SET epoch = epoch WHERE id = ?", [self.migration])

    def state(self, session: base.Session) -> str | None:
        """Return "running" or "rolled_back"; None where the ledger does not know the migration."""
        if not self.exists(session):
            return None
        found = session.rows(f"SELECT state FROM {self.name('migrations')} WHERE id = ?", [self.migration])
        return str(found[0][0]) if found else None

    def mark_rolled_back(self, session: base.Session) -> None:
        """Write that everything was taken back."""
        session.run(f"UPDATE {self.name('migrations')} SET state = 'rolled_back' WHERE id = ?", [self.migration])

    def token(self, session: base.Session) -> str | None:
        """Return the plan's token as this database holds it; None where it does not know the migration."""
        if not self.exists(session):
            return None
        return str(session.rows(f"SELECT token FROM {self.name('migrations')} WHERE id = ?", [self.migration])[0][0])

    # -- steps and objects

    def step_done(self, session: base.Session, step: str) -> dict[str, Any] | None:
        """Return the facts of a step that took effect, or None."""
        found = session.rows(
            f"SELECT facts FROM {self.name('steps')} WHERE migration = ? AND step = ? AND state = 'done'",
            [self.migration, step],
        )
        return dict(json.loads(found[0][0])) if found else None

    def record_step(self, session: base.Session, step: str, facts: dict[str, Any], state: str = "done") -> None:
        """Write that a step took effect, in the transaction in which it does."""
        session.run(f"DELETE FROM {self.name('steps')} WHERE migration = ? AND step = ?", [self.migration, step])
        session.run(
            f"INSERT INTO {self.name('steps')} VALUES (?, ?, ?, ?, ?)",
            [self.migration, step, state, json.dumps(facts, ensure_ascii=False), ledger_attempts.now()],
        )

    def begin_step(self, session: base.Session, step: str) -> None:
        """Write that a step is about to be taken, and that nothing of it was there, where DDL commits by itself.

        What is found of it later is then known to be of its making.
        """
        self.record_step(session, step, {"earlier": self.undone_facts(session, step)}, "begun")

    def begun(self, session: base.Session) -> dict[str, dict[str, Any]]:
        """Return the steps that were begun and are not done, with what was noted; none where DDL is in transactions."""
        return {
            str(step): dict(json.loads(facts))
            for step, facts in session.rows(
                f"SELECT step, facts FROM {self.name('steps')} WHERE migration = ? AND state = 'begun' ORDER BY step",
                [self.migration],
            )
        }

    def steps(self, session: base.Session) -> dict[str, dict[str, Any]]:
        """Return the facts of every step that took effect, by step, in the order in which they came."""
        return {
            str(step): dict(json.loads(facts))
            for step, facts in session.rows(
                f"SELECT step, facts FROM {self.name('steps')} WHERE migration = ? AND state = 'done'"
                " ORDER BY changed_at, step",
                [self.migration],
            )
        }

    def keep_facts(self, session: base.Session, facts: dict[str, dict[str, Any]]) -> None:
        """Keep what steps outside of the target have found, for a home that is made anew from the ledger."""
        with base.transaction(session):
            for step, found in facts.items():
                self.record_step(session, step, found)
            crashpoints.reach("ledger:keep_facts:before")
        crashpoints.reach("ledger:keep_facts:after")

    def record_object(
        self, session: base.Session, step: str, kind: str, name: catalog.TableName, identity: str
    ) -> None:
        """Write which object a step created, so that the way back touches that one and no other."""
        session.run(f"DELETE FROM {self.name('objects')} WHERE migration = ? AND step = ?", [self.migration, step])
        session.run(
            f"INSERT INTO {self.name('objects')} VALUES (?, ?, ?, ?, ?, ?, ?)",
            [self.migration, step, kind, name.schema, name.name, identity, ledger_attempts.now()],
        )

    def objects(self, session: base.Session) -> list[tuple[str, str, catalog.TableName, str]]:
        """Return (step, kind, name, identity) of everything that this migration created."""
        return [
            (str(step), str(kind), catalog.TableName(str(schema), str(name)), str(identity))
            for step, kind, schema, name, identity in session.rows(
                f"SELECT step, kind, schema_name, object_name, identity FROM {self.name('objects')}"
                " WHERE migration = ? ORDER BY changed_at, step",
                [self.migration],
            )
        ]

    def keep_script(self, session: base.Session, body: str) -> None:
        """Keep the rollback script beside the data, so that a lost home is not a lost way back."""
        with base.transaction(session):
            session.run(f"DELETE FROM {self.name('scripts')} WHERE migration = ?", [self.migration])
            session.run(
                f"INSERT INTO {self.name('scripts')} VALUES (?, ?, ?)", [self.migration, body, ledger_attempts.now()]
            )
            crashpoints.reach("ledger:keep_script:before")
        crashpoints.reach("ledger:keep_script:after")

    # -- chunks

    def plan_chunks(self, session: base.Session, epoch: int, chunks: Sequence[Chunk]) -> None:
        """Write boundaries before anyone copies along them: a resume cuts at the same places."""
        with base.transaction(session):
            self.hold_epoch(session, epoch)
            for c in chunks:
                session.run(
                    f"INSERT INTO {self.name('chunk_plan')} VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        self.migration,
                        c.table,
                        c.attempt,
                        c.number,
                        base.key_text(c.lower),
                        base.key_text(c.upper),
                    ],
                )
            crashpoints.reach("ledger:plan_chunks:before")
        crashpoints.reach("ledger:plan_chunks:after")

    def planned_chunks(self, session: base.Session, table: str, attempt: int) -> list[Chunk]:
        """Return the planned chunks of a table in order."""
        return [
            Chunk(table, attempt, int(n), base.key_value(lower), base.key_value(upper))
            for n, lower, upper in session.rows(
                f"SELECT chunk, lower_key, upper_key FROM {self.name('chunk_plan')}"
                " WHERE migration = ? AND table_name = ? AND attempt = ? ORDER BY chunk",
                [self.migration, table, attempt],
            )
        ]

    def all_planned_chunks(self, session: base.Session) -> list[Chunk]:
        """Return the planned chunks of every table and every attempt, those of a table in order."""
        return [
            Chunk(str(table), int(attempt), int(n), base.key_value(lower), base.key_value(upper))
            for table, attempt, n, lower, upper in session.rows(
                f"SELECT table_name, attempt, chunk, lower_key, upper_key FROM {self.name('chunk_plan')}"
                " WHERE migration = ? ORDER BY table_name, attempt, chunk",
                [self.migration],
            )
        ]

    def claim_chunk(self, session: base.Session, epoch: int, chunk: Chunk) -> bool:
        """Enter a chunk at the start of its transaction; False where it is already in the target.

        A twin that has not ended yet is waited for: its unique row decides. After False the transaction is good for
        nothing but being rolled back.
        """
        self.hold_epoch(session, epoch)
        found = session.rows(
            f"SELECT 1 FROM {self.name('chunks')} WHERE migration = ? AND table_name = ? AND attempt = ? AND chunk = ?",
            [self.migration, chunk.table, chunk.attempt, chunk.number],
        )
        if found:
            return False
        try:
            session.run(
                f"INSERT INTO {self.name('chunks')} VALUES (?, ?, ?, ?, ?, 0, 0, '', '', ?)",
                [self.migration, chunk.table, chunk.attempt, chunk.number, epoch, ledger_attempts.now()],
            )
        except errors.DataRejected as error:
            if error.duplicate:
                return False
            raise
        return True

    def close_chunk(
        self, session: base.Session, chunk: Chunk, rows_read: int, quarantined: int, form: str, checksum: str
    ) -> None:
        """Complete a claimed chunk's row, still in its transaction."""
        session.run(
            f"UPDATE {self.name('chunks')} SET rows_read = ?, rows_quarantined = ?, form = ?, checksum = ?,"
            " changed_at = ? WHERE migration = ? AND table_name = ? AND attempt = ? AND chunk = ?",
            [
                rows_read,
                quarantined,
                form,
                checksum,
                ledger_attempts.now(),
                self.migration,
                chunk.table,
                chunk.attempt,
                chunk.number,
            ],
        )

    def applied(self, session: base.Session, *tables: str) -> list[Applied]:
        """Return the chunks, of these tables or of all, that are in the target: of no attempt that was taken back."""
        at = self.attempts(session)
        return [a for a in self.ever_applied(session, *tables) if a.attempt == at.get(a.table, 1)]

    def ever_applied(self, session: base.Session, *tables: str) -> list[Applied]:
        """Return every chunk that ever was in the target, with those that were taken back."""
        where, params = "migration = ?", [self.migration]
        if tables:
            where = f"{where} AND table_name IN ({', '.join('?' * len(tables))})"
            params += tables
        return [
            Applied(str(t), int(a), int(n), int(read), int(q), str(form), str(checksum))
            for t, a, n, read, q, form, checksum in session.rows(
                "SELECT table_name, attempt, chunk, rows_read, rows_quarantined, form, checksum"
                f" FROM {self.name('chunks')} WHERE {where} ORDER BY table_name, attempt, chunk",
                params,
            )
        ]

    def applied_by_table(self, session: base.Session) -> dict[str, list[Applied]]:
        """Return every chunk that is in the target, by table; a table without one is not there."""
        found: dict[str, list[Applied]] = {}
        for one in self.applied(session):
            found.setdefault(one.table, []).append(one)
        return found
