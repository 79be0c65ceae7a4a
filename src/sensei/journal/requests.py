"""What one process asks of the process that holds a migration, and the answers: both are events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sensei import errors
from sensei.journal import actors, events

ASKED, ANSWERED = "request", "answer"
KINDS = (ASKED, ANSWERED)


@dataclass(frozen=True)
class Request:
    """Something asked of the holder, such as a pause."""

    id: str
    kind: str  #: "pause", "cancel"…
    payload: dict[str, Any]
    actor: actors.Actor
    at: datetime


def id_of(migration: str, seq: int) -> str:
    """Return the id of the request that is event ``seq`` of a migration."""
    return f"{migration}/{seq}"


def parse(request_id: str) -> tuple[str, int]:
    """Return the migration and the event of a request; raises UnknownName."""
    migration, _, seq = request_id.rpartition("/")
    if not migration or not seq.isdecimal():
        raise errors.UnknownName(f"there is no request {request_id}")
    return migration, int(seq)


def pending(migration: str, asked_and_answered: Iterable[events.Event]) -> list[Request]:
    """Return the requests that have no answer, oldest first."""
    waiting: dict[int, Request] = {}
    for event in asked_and_answered:
        if event.kind == ASKED:
            waiting[event.seq] = Request(
                id_of(migration, event.seq),
                event.payload["request"],
                event.payload["payload"],
                event.actor,
                event.at,
            )
        else:
            waiting.pop(event.payload["request"], None)
    return list(waiting.values())


def answer(seq: int, asked_and_answered: Iterable[events.Event]) -> dict[str, Any] | None:
    """Return the first answer to the request that is event ``seq``, or None."""
    for event in asked_and_answered:
        if event.kind == ANSWERED and event.payload["request"] == seq:
            result: dict[str, Any] = event.payload["result"]
            return result
    return None
