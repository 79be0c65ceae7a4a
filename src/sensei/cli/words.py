"""Turns results into an operator's words."""

from __future__ import annotations

import collections
import json
from collections.abc import Sequence
from typing import Any

from sensei import states
from sensei.catalog import types
from sensei.cli import output
from sensei.config import owed
from sensei.journal import events
from sensei.plan import model
from sensei.runner import back, execute


def risk_counts(plan: model.Plan) -> dict[str, int]:
    """Count the plan's risks by severity."""
    return dict(collections.Counter(r.severity for r in plan.risks))


def created(plan: model.Plan, risks: dict[str, int]) -> list[str]:
    """Sum a new plan up."""
    e = plan.estimate
    lines = [
        f"{len(plan.tables)} tables, {e.rows:,} rows, {output.amount(e.bytes)}; about {output.duration(e.seconds)},"
        f" {output.duration(e.rollback_seconds)} to take back"
    ]
    if risks:
        lines.append("risks: " + ", ".join(f"{n} {s}" for s, n in sorted(risks.items())))
    if plan.not_migrated:
        kinds = collections.Counter(n.kind for n in plan.not_migrated)
        lines.append("left out: " + ", ".join(f"{n} {k}" for k, n in sorted(kinds.items())))
    return lines


def plan_document(plan: model.Plan, later: Sequence[owed.Owed]) -> dict[str, Any]:
    """Return the contract's document for a plan."""
    return {
        "name": plan.name,
        "source_engine": plan.source_engine,
        "target_engine": plan.target_engine,
        "steps": [
            {"id": s.id, "kind": s.kind, "object": s.object, "reversible": s.reversible, "inverse": s.inverse}
            for s in plan.steps
        ],
        "risks": [
            {
                "severity": r.severity,
                "table": r.table,
                "column": r.column,
                "reason": r.reason,
                "there": str(r.there) if r.there else None,
                "back": str(r.back) if r.back else None,
            }
            for r in plan.risks
        ],
        "columns": [
            {
                "table": t.id,
                "column": c.source,
                "source_type": c.source_native,
                "target_table": str(t.target.name),
                "target_column": c.target,
                "target_type": c.target_native,
                "there": str(c.there),
                "back": str(c.back),
            }
            for t in plan.tables
            for c in t.columns
        ],
        "not_migrated": [{"kind": n.kind, "object": n.object, "reason": n.reason} for n in plan.not_migrated],
        "not_carried_out": [{"path": o.path, "message": o.message, "required": o.required} for o in later],
        "estimate": {
            "rows": plan.estimate.rows,
            "bytes": plan.estimate.bytes,
            "seconds": plan.estimate.seconds,
            "rollback_seconds": plan.estimate.rollback_seconds,
            "rollback_bytes": plan.estimate.rollback_bytes,
        },
    }


def plan_text(migration: str, plan: model.Plan, later: Sequence[owed.Owed]) -> list[str]:
    """Show a plan to people."""
    e = plan.estimate
    lines = [
        f"{migration} ({plan.name}): {plan.source_engine} to {plan.target_engine}",
        f"{len(plan.tables)} tables, {e.rows:,} rows, {output.amount(e.bytes)}",
        f"estimate: {output.duration(e.seconds)}; rollback {output.duration(e.rollback_seconds)},"
        f" which keeps {output.amount(e.rollback_bytes)} of disk as evidence",
        "",
        "steps, each with its way back:",
    ]
    rows = [(s.kind.replace("_", " "), s.object, s.inverse) for s in plan.steps]
    lines += output.table(rows, ("step", "object", "way back"))
    lines += ["", "columns:"]
    verdicts: collections.Counter[tuple[types.Verdict, types.Verdict]] = collections.Counter(
        (c.there, c.back) for t in plan.tables for c in t.columns
    )
    lines += [f"  {n} {there} there, {back_} back" for (there, back_), n in sorted(verdicts.items())]
    if plan.risks:
        lines += ["", "risks:"]
        lines += output.table(
            [
                (
                    r.severity,
                    r.table + (f".{r.column}" if r.column else ""),
                    f"{r.there or ''}/{r.back or ''}" if r.there else "",
                    r.reason,
                )
                for r in plan.risks
            ],
            ("severity", "where", "there/back", "reason"),
        )
    if plan.not_migrated:
        lines += ["", "not migrated:"]
        lines += output.table([(n.kind, n.object, n.reason) for n in plan.not_migrated], ("kind", "object", "reason"))
    if later:
        lines += ["", "asked for in the configuration, not carried out by this version:"]
        lines += [f"  {'blocks start: ' if o.required else ''}{o.path}: {o.message}" for o in later]
    lines += ["", f"next: sensei migrations start {migration}, or: sensei migrations cancel {migration} --reason TEXT"]
    return lines


def outcome_text(migration: str, outcome: execute.Outcome) -> list[str]:
    """Tell how a run ended."""
    if outcome.status is states.State.PAUSED:
        return [
            f"{migration} is paused ({outcome.reason}); {outcome.rows:,} rows are in the target",
            f"next: sensei migrations resume {migration}, or: sensei migrations rollback {migration} --full",
        ]
    lines = [f"{migration} is {outcome.status}: {outcome.rows:,} rows in {output.duration(outcome.seconds)}"]
    if outcome.quarantined:
        lines.append(
            f"{outcome.quarantined:,} rows could not be carried and are in quarantine:"
            f" sensei migrations status {migration} --detailed"
        )
    lines.append(f"the way back stays open: sensei migrations rollback {migration} --full --verify")
    return lines


def rollback_text(migration: str, report: back.Report) -> list[str]:
    """Show the five lines as the spec prints them."""
    lines = [f"{migration} is {report.status}"]
    if set(report.lines.values()) == {"not_checked"}:
        lines.append(f"not verified yet: sensei migrations verify-rollback {migration}")
    else:
        lines.append("rollback_verification:")
        lines += [f"  - {name}: {str(v).lower() if isinstance(v, bool) else v}" for name, v in report.lines.items()]
        lines.append(("passed" if report.passed else "FAILED") + f" in {output.duration(report.duration_seconds)}")
    lines += [f"difference: {d}" for d in report.differences]
    if report.evidence:
        lines.append(f"kept as evidence: {', '.join(str(e.get('object')) for e in report.evidence)}")
        lines.append(f"see: sensei evidence list {migration}")
    return lines


def status_text(found: dict[str, Any]) -> list[str]:
    """Show a status to people."""
    progress = found["progress"]
    lines = [
        f"{found['id']} ({found['name']}{', ' + found['environment'] if found['environment'] else ''})"
        f" is {found['status']}, phase {found['phase']}",
        f"from {found['source']}",
        f"to   {found['target']}",
        f"{progress['percent']} %: {progress['rows_copied']:,} of {progress['rows_total']:,} rows"
        + (f", {progress['rate']:,} rows/s" if progress["rate"] else "")
        + (f", {output.duration(progress['eta_seconds'])} left" if progress["eta_seconds"] else ""),
    ]
    if progress["current"]:
        lines.append(f"now: {progress['current']}")
    runner = found["runner"]
    if runner:
        state = "runs it" if runner["alive"] else "ran it and is gone"
        lines.append(f"process {runner['pid']} on {runner['host']} {state}, since {runner['since']}")
    lines += [""]
    lines += output.table(
        [
            (
                t["name"],
                t["status"],
                f"{t['rows_copied']:,}",
                f"{t['rows_total']:,}",
                f"{t['chunks_done']}/{t['chunks_total']}",
                f"{t['rows_quarantined']:,}",
            )
            for t in progress["tables"]
        ],
        ("table", "status", "rows", "of", "chunks", "quarantine"),
    )
    if found["errors"]["total"]:
        lines += ["", f"{found['errors']['total']:,} rows in quarantine ({found['errors']['rate']:.2%} of all)"]
    for row in found.get("quarantine", {}).get("rows", []):
        lines.append(f"  {row['table']} {row['key']}: {row['reason']}")
    if found.get("quarantine", {}).get("note"):
        lines.append(f"  {found['quarantine']['note']}")
    if found.get("steps"):
        lines += ["", "steps:"]
        lines += output.table(
            [(s["state"], s["kind"].replace("_", " "), s["object"], s["at"] or "") for s in found["steps"]],
            ("state", "step", "object", "at"),
        )
    if found.get("journal"):
        problems = found["journal"]["problems"]
        lines += ["", f"journal: {found['journal']['events']} events, "
                  + ("chain and signatures hold" if not problems else "; ".join(problems))]  # fmt: skip
    if found["failure"]:
        lines += ["", f"failed: {found['failure']['message']}"]
    if found["advice"]:
        a = found["advice"]
        lines += ["", f"{a['situation']}: {a['recommended_action']} (time pressure: {a['time_pressure']})"]
    lines += ["", f"next: {found['next']}"]
    return lines


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


def _short(payload: Any) -> Any:
    """A fingerprint fills pages; logs tell that it was taken."""
    if isinstance(payload, dict):
        return {k: ("…" if k == "fingerprint" else _short(v)) for k, v in payload.items()}
    return payload


def compact(data: dict[str, Any]) -> str:
    """Write JSON on one line."""
    return json.dumps(data, ensure_ascii=False, default=str)


def event_text(event: events.Event) -> str:
    """Write an event as one line."""
    payload = _short(event.payload)
    what = event.kind.replace("_", " ")
    if event.kind.startswith("step_"):
        facts = payload.get("facts") or {}
        told = ", ".join(
            f"{k} {v}" for k, v in facts.items() if k in ("rows", "quarantined", "chunks", "rows_turned_out")
        )
        text = f"{what} {payload.get('step')}" + (f" ({told})" if told else "")
    elif event.kind == "transition":
        detail = payload.get("message") or payload.get("reason") or ""
        text = f"{payload.get('from')} -> {payload.get('to')}" + (f": {detail}" if detail else "")
    else:
        text = f"{what} {compact(payload) if payload else ''}"
        text = text if len(text) < 300 else text[:300] + "…"
    return f"{event.at.strftime('%Y-%m-%d %H:%M:%S')}Z {event.actor.user}@{event.actor.host} {text}".rstrip()
