"""An event of the journal, its canonical JSON, and the hash that chains it to the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from sensei.journal import actors

#: What the first event of a migration names as the hash before it.
GENESIS = "0" * 64


@dataclass(frozen=True)
class Event:
    """One entry of the journal: never changed, never deleted."""

    seq: int  #: 1, 2, 3… within its migration, without gaps
    at: datetime  #: aware, UTC, by the writer's clock
    actor: actors.Actor
    kind: str
    payload: dict[str, Any]
    prev_hash: str
    hash: str  #: SHA-256 over all of the above and the migration's id
    signer: str = field(default="", compare=False)  #: fingerprint of the key that signed it


def canonical(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no blanks, ASCII only.

    Times, decimals, paths and UUIDs are written as text, bytes as hex, sets as sorted lists.
    Raises TypeError or ValueError for what JSON can't say (NaN included).
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | PurePath | UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} can't be written to the journal")


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def event_hash(migration: str, seq: int, at: str, actor: actors.Actor, kind: str, payload: str, prev_hash: str) -> str:
    """Return the hash of an event; ``payload`` is its canonical JSON text, ``at`` its time as stored."""
    return digest(
        canonical(
            {
                "migration": migration,
                "seq": seq,
                "at": at,
                "user": actor.user,
                "host": actor.host,
                "command": actor.command,
                "kind": kind,
                "payload": payload,
                "prev_hash": prev_hash,
            }
        )
    )


def to_text(at: datetime) -> str:
    """Return a time as the store keeps it: ISO 8601 in UTC, always with microseconds, so that it sorts."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def from_text(text: str) -> datetime:
    """Return the aware UTC time of a stored text; raises ValueError."""
    return datetime.fromisoformat(text).astimezone(UTC)


def utcnow() -> datetime:
    """Return the time by this host's clock."""
    return datetime.now(UTC)
