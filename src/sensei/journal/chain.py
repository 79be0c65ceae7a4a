"""Appending to a migration's chain of events, and proving that nobody touched it since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sensei import errors
from sensei.journal import actors, database, events, keys

_COLUMNS = "seq, at, actor_user, actor_host, actor_command, kind, payload, prev_hash, hash, signer, signature"


def start(tx: database.Tx, migration: str) -> None:
    """Write the head of a chain that has no event yet."""
    tx.run(
        "INSERT INTO heads (migration_id, seq, hash, signer, signature) VALUES (?, 0, ?, '', '')",
        (migration, events.GENESIS),
    )


def append(
    tx: database.Tx,
    ring: keys.Keys,
    migration: str,
    kind: str,
    payload: Mapping[str, Any],
    actor: actors.Actor,
) -> events.Event:
    """Add one event and move the head, inside the caller's transaction, which this serialises with others.

    Raises UnknownName where the migration has no chain, TamperFound where the head is not the end of the
    chain or its signature is wrong: an honest entry on top would hide a cut-off end for good.
    """
    head = tx.one(f"SELECT seq, hash, signer, signature FROM heads WHERE migration_id = ?{tx.for_update}", (migration,))
    if head is None:
        raise errors.UnknownName(f"there is no migration {migration}", hint="sensei migrations list")
    last = tx.one("SELECT seq, hash, signer FROM events WHERE migration_id = ? ORDER BY seq DESC LIMIT 1", (migration,))
    problems = _head_problems(ring, migration, head, last)
    if problems:
        raise _tampered(migration, problems)

    seq, prev_hash = head[0] + 1, head[1]
    at = events.to_text(events.utcnow())
    try:
        body = events.canonical(dict(payload))
    except (TypeError, ValueError) as e:
        raise errors.Fault(f"an event of kind {kind} can't be written: {e}") from e
    hash_ = events.event_hash(migration, seq, at, actor, kind, body, prev_hash)
    signature = ring.sign(_event_message(migration, seq, hash_))
    head_signature = ring.sign(_head_message(migration, seq, hash_))
    if last is None or last[2] != ring.fingerprint:
        _introduce(tx, ring, actor)
    tx.run(
        f"INSERT INTO events (migration_id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            migration,
            seq,
            at,
            actor.user,
            actor.host,
            actor.command,
            kind,
            body,
            prev_hash,
            hash_,
            ring.fingerprint,
            signature,
        ),
    )
    tx.run(
        "UPDATE heads SET seq = ?, hash = ?, signer = ?, signature = ? WHERE migration_id = ?",
        (seq, hash_, ring.fingerprint, head_signature, migration),
    )
    return events.Event(seq, events.from_text(at), actor, kind, json.loads(body), prev_hash, hash_, ring.fingerprint)


def read(tx: database.Tx, migration: str, *, after: int = 0, kinds: tuple[str, ...] = ()) -> list[events.Event]:
    """Return the events after a number, oldest first, only those of some kinds if any are named.

    Raises TamperFound for one that can't even be read.
    """
    sql = f"SELECT {_COLUMNS} FROM events WHERE migration_id = ? AND seq > ?"
    if kinds:
        # Kind by kind, each along the index of kinds: asked for all at once, in order, a server walks through the whole
        # journal, and whoever holds a migration asks every second.
        rows = [row for kind in kinds for row in tx.all(f"{sql} AND kind = ? ORDER BY seq", (migration, after, kind))]
    else:
        rows = tx.all(f"{sql} ORDER BY seq", (migration, after))
    try:
        return sorted((_event(row) for row in rows), key=lambda event: event.seq)
    except (ValueError, TypeError) as e:
        raise _tampered(migration, [f"an event can't be read: {e}"]) from e


def holds(tx: database.Tx, migration: str, event_hash: str) -> bool:
    """Tell whether an event reached the store: the question after a COMMIT whose answer was lost."""
    return tx.one("SELECT 1 FROM events WHERE migration_id = ? AND hash = ?", (migration, event_hash)) is not None


def verify(
    tx: database.Tx, ring: keys.Keys, migration: str, kinds: tuple[str, ...], *, strangers: bool = False
) -> tuple[list[str], list[events.Event]]:
    """Return what is wrong with a chain, in words, and its events of some kinds, and the first, as far as readable.

    Each event must hash to its hash, follow the one before, and be signed; the head must be the last event
    and be signed too. ``strangers`` takes keys that this home does not trust at the store's own word.
    """
    rows = tx.all(f"SELECT {_COLUMNS} FROM events WHERE migration_id = ? ORDER BY seq", (migration,))
    signers = {row[0]: (row[1], row[2]) for row in tx.all("SELECT fingerprint, owner, public_pem FROM signers")}
    head = tx.one("SELECT seq, hash, signer, signature FROM heads WHERE migration_id = ?", (migration,))
    problems: list[str] = []
    found: list[events.Event] = []
    unknown: dict[str, list[int]] = {}
    expected, prev_hash = 1, events.GENESIS
    for row in rows:
        seq = row[0]
        if not isinstance(seq, int):
            problems.append(f"an event has the number {seq!r}")
            continue
        if seq != expected:
            problems.append(_missing(expected, seq - 1))
        elif row[7] != prev_hash:
            problems.append(f"event {seq} does not follow the event before it")
        problems += _event_problems(migration, row)
        if not ring.knows(row[9]):
            unknown.setdefault(row[9], []).append(seq)
        if not _signed(ring, signers, row[9], _event_message(migration, seq, row[8]), row[10]):
            problems.append(f"the signature of event {seq} is wrong")
        if seq == 1 or row[5] in kinds:
            try:
                found.append(_event(row))
            except (ValueError, TypeError):
                pass  # reported above: its hash is wrong as well
        expected, prev_hash = seq + 1, row[8]

    if head is None:
        problems.append("the signed head of the journal is missing")
    else:
        problems += _head_problems(ring, migration, head, (rows[-1][0], rows[-1][8], rows[-1][9]) if rows else None)
        if rows and not ring.knows(head[2]):
            if head[2] not in unknown:
                unknown[head[2]] = []
            if not _signed(ring, signers, head[2], _head_message(migration, head[0], head[1]), head[3]):
                problems.append("the signature of the journal's head is wrong")
    if not strangers:
        problems += [_stranger(key, signers.get(key), seqs) for key, seqs in unknown.items()]
    return problems, found


def _event(row: database.Row) -> events.Event:
    seq, at, user, host, command, kind, payload, prev_hash, hash_, signer, _ = row
    content = json.loads(payload)
    if not isinstance(content, dict):
        raise ValueError(f"event {seq} holds no facts")
    return events.Event(
        seq,
        events.from_text(at),
        actors.Actor(user, host, command),
        kind,
        content,
        prev_hash,
        hash_,
        signer,
    )


def _event_problems(migration: str, row: database.Row) -> list[str]:
    seq, at, user, host, command, kind, payload, prev_hash, hash_ = row[:9]
    actor = actors.Actor(user, host, command)
    try:
        right = events.event_hash(migration, seq, at, actor, kind, payload, prev_hash) == hash_
    except (TypeError, ValueError):
        right = False  # a column holds what no event can hold, such as a blob
    return [] if right else [f"event {seq} ({kind}) was changed: its hash does not match its content"]


def _head_problems(ring: keys.Keys, migration: str, head: database.Row, last: database.Row | None) -> list[str]:
    """Compare the head (seq, hash, signer, signature) with the last event (seq, hash, signer)."""
    seq, hash_, signer, signature = head
    if not isinstance(seq, int) or not isinstance(last[0] if last else 0, int):
        return ["the journal's head does not match its events"]
    if last is None:
        return [] if (seq, hash_) == (0, events.GENESIS) else [_missing(1, seq)]
    if last[0] < seq:
        return [_missing(last[0] + 1, seq)]
    if last[0] > seq:
        return [f"the journal goes on to event {last[0]} past its signed head at event {seq}"]
    if last[1] != hash_ or last[2] != signer:
        return [f"the journal's head does not match event {seq}"]
    if ring.knows(signer) and not ring.verify(signer, _head_message(migration, seq, hash_), signature):
        return ["the signature of the journal's head is wrong"]
    return []


def _signed(ring: keys.Keys, signers: Mapping[str, tuple[str, str]], signer: str, message: str, signature: str) -> bool:
    if ring.knows(signer):
        return ring.verify(signer, message, signature)
    if signer not in signers:
        return False
    try:
        key = keys.load_public(signers[signer][1])
    except ValueError:
        return False
    return keys.fingerprint(key) == signer and keys.signed_by(key, message, signature)


def _introduce(tx: database.Tx, ring: keys.Keys, actor: actors.Actor) -> None:
    tx.run(
        "INSERT INTO signers (fingerprint, owner, public_pem) VALUES (?, ?, ?) ON CONFLICT (fingerprint) DO NOTHING",
        (ring.fingerprint, f"{actor.user}@{actor.host}", ring.public_pem()),
    )


def _event_message(migration: str, seq: int, hash_: str) -> str:
    return f"event|{migration}|{seq}|{hash_}"


def _head_message(migration: str, seq: int, hash_: str) -> str:
    # Other words than an event's: else the signature of an older event would pass for that of a head,
    # and cutting off the end would need no key.
    return f"head|{migration}|{seq}|{hash_}"


def _missing(first: int, last: int) -> str:
    return f"event {first} is missing" if first >= last else f"events {first} to {last} are missing"


def _stranger(key: str, known_as: tuple[str, str] | None, seqs: list[int]) -> str:
    where = f"event {seqs[0]}" if len(seqs) == 1 else f"{len(seqs)} events" if seqs else "the head"
    whose = f"said to be of {known_as[0]}" if known_as else "which nobody owns up to"
    return (
        f"{where} signed by key {key}, {whose}, which this home does not trust: "
        "if you do, put its public key (sensei keys export) into the home's keys/trusted folder"
    )


def _tampered(migration: str, problems: list[str]) -> errors.TamperFound:
    return errors.TamperFound(
        f"the journal of {migration} was tampered with: {'; '.join(problems)}",
        hint="nothing was changed; keep a copy of the state store and compare it with its latest backup",
        problems=problems,
    )


def refuse_tampered(migration: str, problems: list[str]) -> None:
    """Raise TamperFound naming each problem, if there is any."""
    if problems:
        raise _tampered(migration, problems)
