"""What a migration's state is, in the words of the contract; read from the store alone, so it never hangs."""

from __future__ import annotations

from typing import Any

from sensei import states
from sensei.journal import migrations as rows
from sensei.runner import desk as desks
from sensei.runner import verdicts
from sensei.states import State

#: The spec's decision matrix, word for word: situation -> (recommended action, time pressure).
MATRIX = {
    "Validation failure during testing": ("Fix and retry", "Low"),
    "Performance issue during execution": ("Pause, investigate, resume or rollback", "Medium"),
    "Data corruption detected": ("Immediate rollback", "High"),
    "Business logic error post-cutover": ("Assess impact, targeted rollback", "High"),
    "External system dependency failure": ("Pause and wait, or rollback", "Variable"),
}


def status(desk: desks.Desk, migration: str, detailed: bool = False) -> dict[str, Any]:
    """Return the contract's document."""
    row = desk.store.migration(migration)
    kept = desk.store.progress(row.id) or {}
    lease = desk.store.lease(row.id)
    failure = _last_failure(desk, row) if row.status is State.FAILED else None
    tables = kept.get("tables") or [_untouched(t) for t in row.plan["plan"]["tables"]]
    if row.status is State.ROLLED_BACK:
        tables = [{**t, "status": str(states.TableState.ROLLED_BACK)} for t in tables]
    total = sum(t["rows_total"] for t in tables)
    copied, rejected = sum(t["rows_copied"] for t in tables), sum(t["rows_quarantined"] for t in tables)
    done = copied + rejected
    running = row.status is State.RUNNING and lease is not None and lease.alive
    document: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        "environment": row.environment,
        "status": str(row.status),
        "phase": str(states.phase_of(row.status, row.returns_to)),
        "progress": {
            "percent": round(100.0 * done / total, 1) if total else (100.0 if kept else 0.0),
            "rows_copied": copied,
            "rows_total": total,
            "tables": tables,
            "rate": kept.get("rate", 0) if running else 0,
            "eta_seconds": kept.get("eta_seconds") if running else None,
            "current": kept.get("current", "") if running else "",
        },
        "lag": {"seconds": 0, "changes": 0},
        "errors": {"total": rejected, "rate": rejected / done if done else 0.0},
        "advice": _advice(row, failure, rejected),
        "source": row.source_label,
        "target": row.target_label,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
        "runner": (
            {
                "host": lease.holder.host,
                "pid": lease.holder.pid,
                "alive": lease.alive,
                "since": lease.taken_at.isoformat(),
            }
            if lease is not None and not lease.released
            else None
        ),
        "failure": failure,
        "next": rows.next_command(row.status, row.id),
    }
    if row.status is State.ROLLING_BACK:
        document["next"] = desks.Loaded(desk, row).next_command()
    if row.status is State.RUNNING and not running:
        document["next"] = f"nobody runs it (its process is gone): sensei migrations resume {row.id}"
    if row.status is State.VALIDATING and not (lease is not None and lease.alive):
        document["next"] = f"nobody validates it any more: sensei validations run {row.id} goes on"
    document["validation"] = _validation(desk, row)
    if detailed:
        document["steps"] = _steps(desk, row)
        document["views"] = _views(desk, row)
        document["coerced"] = row.plan["plan"].get("coerced", [])
        document["quarantine"] = _quarantine(desk, row)
        document["journal"] = {"events": len(desk.store.events(row.id)), "problems": desk.store.verify(row.id)}
    return document


def _validation(desk: desks.Desk, row: rows.Migration) -> dict[str, Any] | None:
    """Return the last run of its validation, or None."""
    known = verdicts.runs(desk, row.id)
    return known[-1].to_json() if known else None


def _full(name: dict[str, str]) -> str:
    return f"{name['schema']}.{name['name']}" if name["schema"] else name["name"]


def _untouched(table: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": _full(table["source"]["name"]),
        "status": str(states.TableState.PENDING),
        "rows_copied": 0,
        "rows_total": table["rows"],
        "chunks_done": 0,
        "chunks_total": 0,
        "rows_quarantined": 0,
    }


def _last_failure(desk: desks.Desk, row: rows.Migration) -> dict[str, Any] | None:
    for event in reversed(desk.store.events(row.id, kinds=(rows.TRANSITION,))):
        if event.payload.get("code"):
            return {k: event.payload[k] for k in ("code", "message", "exit_code") if k in event.payload}
    return None


def _advice(row: rows.Migration, failure: dict[str, Any] | None, rejected: int) -> dict[str, str] | None:
    situation = None
    if row.status is State.FAILED and failure:
        if failure.get("exit_code") == 5:
            situation = "External system dependency failure"
        elif failure.get("exit_code") == 4:
            situation = "Data corruption detected"
        else:
            situation = "Validation failure during testing"
    elif row.status is State.PAUSED:
        situation = "Performance issue during execution"
    elif row.status is State.VALIDATION_FAILED or (row.status is State.COMPLETED and rejected):
        situation = "Validation failure during testing"
    if situation is None:
        return None
    action, pressure = MATRIX[situation]
    return {"situation": situation, "recommended_action": action, "time_pressure": pressure}


def _steps(desk: desks.Desk, row: rows.Migration) -> list[dict[str, Any]]:
    journaled = desk.store.steps(row.id)
    result = []
    for step in row.plan["plan"]["steps"]:
        record = journaled.get(step["id"])
        result.append(
            {
                "id": step["id"],
                "kind": step["kind"],
                "object": step["object"],
                "inverse": step["inverse"],
                "state": str(record.state) if record else str(states.StepState.PENDING),
                "at": record.at.isoformat() if record else None,
            }
        )
    return result


def _views(desk: desks.Desk, row: rows.Migration) -> list[dict[str, str]]:
    """Tell what became of each view of the plan: not yet, made, left, taken back; and what the comparison showed."""
    journaled = desk.store.steps(row.id)
    result = []
    for view in row.plan["plan"].get("views", []):
        target = _full(view["target"])
        record = journaled.get(f"create_view:{target}")
        facts = record.facts if record else {}
        if record is not None and record.state is states.StepState.UNDONE:
            state, says = "taken back", ""
        elif "left" in facts:
            state, says = "left", str(facts["left"])
        else:
            state, says = ("made", str(facts["says"])) if "says" in facts else ("not yet", "")
        result.append({"view": view["origin"], "target": target, "state": state, "says": says})
    return result


def _quarantine(desk: desks.Desk, row: rows.Migration) -> dict[str, Any]:
    """Read the rows in quarantine from the target; says so where it can't be reached."""
    from sensei import errors

    loaded = desks.Loaded(desk, row)
    try:
        _, target = loaded.sides()
        with target.session("sensei status") as session:
            book = loaded.book()
            found = book.quarantined(session, limit=100) if book.exists(session) else []
    except errors.SenseiError as error:
        return {"rows": [], "note": f"the target can't be asked now: {error.message}"}
    return {
        "rows": [{"table": r.table, "key": r.key, "column": r.column, "reason": r.reason, "row": r.row} for r in found]
    }
