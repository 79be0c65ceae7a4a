"""The tables of the store, the rules that the database itself enforces, and their version."""

from __future__ import annotations

from collections.abc import Iterator

from sensei import errors, states
from sensei.journal import database

#: Raised with every change to what this module makes, `states.TRANSITIONS` included; see `_UPGRADES`.
VERSION = 2

TABLES = (
    "CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL)",
    """CREATE TABLE migrations (
    id text PRIMARY KEY,
    name text NOT NULL,
    environment text,
    status text NOT NULL CHECK (status IN ({states})),
    returns_to text CHECK (returns_to IN ({states})),
    config_text text NOT NULL,
    config_digest text NOT NULL,
    plan text NOT NULL,
    source_label text NOT NULL,
    target_label text NOT NULL,
    created_at text NOT NULL
)""",
    """CREATE TABLE events (
    migration_id text NOT NULL REFERENCES migrations (id),
    seq bigint NOT NULL CHECK (seq > 0),
    at text NOT NULL,
    actor_user text NOT NULL,
    actor_host text NOT NULL,
    actor_command text NOT NULL,
    kind text NOT NULL,
    payload text NOT NULL,
    prev_hash text NOT NULL,
    hash text NOT NULL,
    signer text NOT NULL,
    signature text NOT NULL,
    PRIMARY KEY (migration_id, seq)
)""",
    "CREATE INDEX events_of_kind ON events (migration_id, kind, seq)",
    """CREATE TABLE heads (
    migration_id text PRIMARY KEY REFERENCES migrations (id),
    seq bigint NOT NULL,
    hash text NOT NULL,
    signer text NOT NULL,
    signature text NOT NULL
)""",
    # Who else writes to this store: says whose a key is, never that it may be trusted.
    "CREATE TABLE signers (fingerprint text PRIMARY KEY, owner text NOT NULL, public_pem text NOT NULL)",
    """CREATE TABLE leases (
    migration_id text PRIMARY KEY REFERENCES migrations (id),
    epoch bigint NOT NULL CHECK (epoch > 0),
    token text,
    host text NOT NULL,
    pid bigint NOT NULL,
    pid_started text NOT NULL,
    command text NOT NULL,
    taken_at text NOT NULL,
    heartbeat_at text NOT NULL,
    ttl double precision NOT NULL
)""",
    """CREATE TABLE progress (
    migration_id text PRIMARY KEY REFERENCES migrations (id),
    body text NOT NULL
)""",
)


def _quoted(words: list[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _legal_pairs() -> list[str]:
    return sorted(f"{a}>{b}" for a, after in states.TRANSITIONS.items() for b in after)


def statements(engine: str) -> Iterator[str]:
    """Yield the DDL of a new store for "sqlite" or "postgres"."""
    for table in TABLES:
        yield table.replace("{states}", _quoted(sorted(states.State)))
    yield from _sqlite_rules() if engine == "sqlite" else _postgres_rules()


def _sqlite_rules() -> Iterator[str]:
    def forbid(name: str, event: str, table: str, why: str, when: str = "") -> str:
        return f"CREATE TRIGGER {name} BEFORE {event} ON {table} {when} BEGIN SELECT RAISE(ABORT, '{why}'); END"

    yield forbid("events_keep", "DELETE", "events", "events are never deleted")
    yield forbid("events_stay", "UPDATE", "events", "events are never changed")
    yield forbid("migrations_keep", "DELETE", "migrations", "migrations are never deleted")
    yield forbid(
        "migrations_move",
        "UPDATE OF status",
        "migrations",
        "no such transition",
        f"WHEN OLD.status <> NEW.status AND OLD.status || '>' || NEW.status NOT IN ({_quoted(_legal_pairs())})",
    )


def _postgres_rules() -> Iterator[str]:
    yield (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION '% are never %', TG_TABLE_NAME, "
        "CASE TG_OP WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END; END $$"
    )
    yield ("CREATE TRIGGER events_keep BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse()")
    yield "CREATE TRIGGER migrations_keep BEFORE DELETE ON migrations FOR EACH ROW EXECUTE FUNCTION refuse()"
    for table in ("events", "migrations"):
        yield (f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse()")
    yield (
        "CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF OLD.status <> NEW.status AND OLD.status || '>' || NEW.status NOT IN ({_quoted(_legal_pairs())}) "
        "THEN RAISE EXCEPTION 'no such transition: % to %', OLD.status, NEW.status; END IF; "
        "RETURN NEW; END $$"
    )
    yield ("CREATE TRIGGER migrations_move BEFORE UPDATE OF status ON migrations FOR EACH ROW EXECUTE FUNCTION move()")


#: version -> statements that lead from it to the next.
_UPGRADES: dict[int, tuple[str, ...]] = {
    # The time of the latest event is read from the journal.
    1: ("ALTER TABLE migrations DROP COLUMN updated_at",),
}


def prepare(db: database.Database, engine: str) -> None:
    """Make the store's tables, or bring an older store up to this version.

    Raises StoreFailed for a store that a newer Sensei made.
    """

    def version(tx: database.Tx) -> int:
        row = tx.one("SELECT value FROM meta WHERE name = 'schema_version'")
        return int(row[0]) if row is not None else 0

    def make(tx: database.Tx) -> int:
        if not db.claim(tx):
            db.create(statements(engine))
            tx.run("INSERT INTO meta (name, value) VALUES ('schema_version', ?)", (str(VERSION),))
            return VERSION
        found = version(tx)
        while found in _UPGRADES:
            db.create(_UPGRADES[found])
            found += 1
            tx.run("UPDATE meta SET value = ? WHERE name = 'schema_version'", (str(found),))
        return found

    found = db.read(lambda tx: version(tx) if db.is_made(tx) else 0)
    if found != VERSION and found <= VERSION:
        found = db.write(make)
    if found > VERSION:
        raise errors.StoreFailed(
            f"the state store {db.label} has version {found}, this Sensei knows versions up to {VERSION}",
            hint="upgrade Sensei, or set SENSEI_STORE to another store",
        )
    if found < VERSION:
        raise errors.StoreFailed(
            f"the state store {db.label} has version {found}, too old for this Sensei to upgrade",
            hint="upgrade it with the Sensei release that follows the one that made it",
        )
