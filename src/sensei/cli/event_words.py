"""Turns the journal's events into lines that tell who did what, and when."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sensei.journal import events

Payload = Mapping[str, Any]


def event_document(event: events.Event) -> dict[str, Any]:
    """Return an event as JSON-able data."""
    return {
        "seq": event.seq,
        "at": event.at.isoformat(),
        "actor": {"user": event.actor.user, "host": event.actor.host, "command": event.actor.command},
        "kind": event.kind,
        "payload": _short(event.payload),
        "hash": event.hash,
    }


def event_text(event: events.Event) -> str:
    """Write an event as one line."""
    payload = _short(event.payload)
    if event.kind.startswith("step_"):
        text = _step(event.kind, payload)
    elif event.kind in _TELL:
        text = _TELL[event.kind](payload)
    else:
        text = f"{event.kind.replace('_', ' ')} {compact(payload) if payload else ''}"
    text = text if len(text) < 300 else text[:300] + "…"
    return f"{event.at.strftime('%Y-%m-%d %H:%M:%S')}Z {event.actor.user}@{event.actor.host} {text}".rstrip()


def compact(data: Payload) -> str:
    """Write JSON on one line."""
    return json.dumps(data, ensure_ascii=False, default=str)


def _short(payload: Any) -> Any:
    """A fingerprint fills pages; logs tell that it was taken, as of the mark of a moment on a server."""
    if isinstance(payload, dict):
        return {k: ("…" if k in ("fingerprint", "target_mark") else _short(v)) for k, v in payload.items()}
    return payload


#: Facts of a step that an operator wants to read, and how they are called.
_FACTS = {"rows": "rows", "quarantined": "in quarantine", "chunks": "chunks", "rows_turned_out": "rows turned out"}


def _step(kind: str, payload: Payload) -> str:
    facts = payload.get("facts") or {}
    told = ", ".join(
        f"{name}: {facts[k]:,}" for k, name in _FACTS.items() if isinstance(facts.get(k), int) and facts[k]
    )
    what, _, name = str(payload.get("step")).partition(":")
    return f"{kind.removeprefix('step_')}: {what.replace('_', ' ')} {name}".rstrip() + (f" ({told})" if told else "")


def _transition(payload: Payload) -> str:
    detail = payload.get("message") or payload.get("reason") or ""
    if payload.get("partial"):
        detail = ", ".join(payload["partial"]["tables"]) + (f" ({detail})" if detail else "")
    return f"{payload.get('from')} -> {payload.get('to')}" + (f": {detail}" if detail else "")


def _created(payload: Payload) -> str:
    environment = payload.get("environment")
    return (
        f"created {payload.get('name')}{f' for {environment}' if environment else ''}:"
        f" from {payload.get('source_label')} to {payload.get('target_label')}"
    )


def _lease(payload: Payload) -> str:
    dead = payload.get("took_over")
    return f"process {payload.get('pid')} on {payload.get('host')} holds the migration" + (
        f", taken over from process {dead['pid']} on {dead['host']}" if dead else ""
    )


def _verified(payload: Payload) -> str:
    bad = payload.get("differences") or []
    return f"rollback verified: {'passed' if payload.get('passed') else 'FAILED'}" + (
        f": {'; '.join(bad)}" if bad else ""
    )


def _settled(payload: Payload) -> str:
    how = {"trusted": "the other tables are trusted", "checked": "the other tables were checked in full"}
    return f"taking up again {', '.join(payload.get('tables', []))}; {how.get(str(payload.get('others')), 'settled')}"


def _evidence(payload: Payload) -> str:
    item = payload.get("item") or {}
    return f"kept as evidence: {item.get('kind')} {item.get('object')} in {item.get('place')}"


def _request(payload: Payload) -> str:
    reason = (payload.get("payload") or {}).get("reason")
    return f"asked the runner to {payload.get('request')}" + (f": {reason}" if reason else "")


def _validated(payload: Payload) -> str:
    failures = payload.get("failures") or 0
    found = f", {failures} failure{'' if failures == 1 else 's'}" if failures else ""
    return f"validation {payload.get('number')} ({payload.get('type')}): {payload.get('status')}{found}"


def _repaired(payload: Payload) -> str:
    rows = sum(n for counts in payload["tables"].values() for n in counts.values())
    back = f", taking repair {payload['undoes']} back" if payload.get("undoes") else ""
    return f"repair {payload.get('number')}: {rows:,} rows of {', '.join(payload['tables'])}{back}"


_TELL: dict[str, Callable[[Payload], str]] = {
    "transition": _transition,
    "created": _created,
    "lease_taken": _lease,
    "taken_up": lambda payload: "taken up where it stood",
    "rollback_verified": _verified,
    "rollback_stopped": lambda payload: f"the rollback stopped: {payload.get('message')}",
    "others_settled": _settled,
    "tables_taken_back": lambda payload: f"had been rolled back: {', '.join(payload['partial']['tables'])}",
    "rollback_widened": lambda payload: "the rollback of some tables becomes one of everything",
    "replanned": lambda payload: "the configuration and the plan were amended",
    "evidence": _evidence,
    "evidence_purged": lambda payload: f"evidence {payload.get('evidence')} was dropped for good",
    "validation_begun": lambda payload: f"validation {payload.get('number')} ({payload.get('type')}) begun",
    "validation_taken_up": lambda payload: f"validation {payload.get('number')} taken up where it stood",
    "validation_finished": _validated,
    "repair_begun": lambda payload: f"repair {payload.get('number')} of {', '.join(payload['tables'])} begun",
    "repair_finished": _repaired,
    "certificate_issued": lambda payload: (
        f"certificate of validation {payload.get('number')} signed by key {payload.get('key')}"
    ),
    "request": _request,
    "answer": lambda payload: f"answered: {(payload.get('result') or {}).get('status', '')}",
}
