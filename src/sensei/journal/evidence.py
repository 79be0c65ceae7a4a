"""What is kept as evidence, and what of it is gone: both are events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sensei.journal import events

KEPT, PURGED = "evidence", "evidence_purged"
KINDS = (KEPT, PURGED)


def entries(migration: str, kept_and_purged: Iterable[events.Event]) -> list[dict[str, Any]]:
    """Return each item with ``id``, ``migration``, ``at`` and ``purged_at``, in the order in which they came."""
    found: dict[str, dict[str, Any]] = {}
    for event in kept_and_purged:
        at = events.to_text(event.at)
        if event.kind == KEPT:
            key = f"{migration}/{event.seq}"
            found[key] = {**event.payload["item"], "id": key, "migration": migration, "at": at, "purged_at": None}
        else:
            found[f"{migration}/{event.payload['evidence']}"]["purged_at"] = at
    return list(found.values())
