"""The state store: an append-only, hash-chained, signed journal, and leases and progress beside it."""

from __future__ import annotations

from sensei.journal.actors import Actor, current_actor
from sensei.journal.events import Event
from sensei.journal.lease import Holder, Lease, LeaseInfo, current_holder
from sensei.journal.migrations import Migration, StepRecord, next_command
from sensei.journal.requests import Request
from sensei.journal.store import Store, open_store

__all__ = [
    "Actor",
    "Event",
    "Holder",
    "Lease",
    "LeaseInfo",
    "Migration",
    "Request",
    "StepRecord",
    "Store",
    "current_actor",
    "current_holder",
    "next_command",
    "open_store",
]
