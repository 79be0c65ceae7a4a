"""Turns results into an operator's words."""

from __future__ import annotations

import collections
import datetime
from collections.abc import Sequence
from typing import Any

from sensei import rollback, states
from sensei.catalog import types
from sensei.cli import output
from sensei.config import owed
from sensei.plan import inventory, model
from sensei.runner import back, desk, execute, left


def spaced(word: str) -> str:
    """Write a step's kind as people do; scripts see it with underscores."""
    return word.replace("_", " ")


def moment(at: str) -> str:
    """Write a time as people do, to the second, in UTC; scripts see it in full."""
    return datetime.datetime.fromisoformat(at).astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def risk_counts(plan: model.Plan) -> dict[str, int]:
    """Count the plan's risks by severity."""
    return dict(collections.Counter(r.severity for r in plan.risks))


def created(plan: model.Plan, risks: dict[str, int]) -> list[str]:
    """Sum a new plan up."""
    e = plan.estimate
    lines = [
        f"{output.count(len(plan.tables), 'table')}, {e.rows:,} rows, {output.amount(e.bytes)};"
        f" about {output.duration(e.seconds)}, {output.duration(e.rollback_seconds)} to take back"
    ]
    if risks:
        lines.append("risks: " + ", ".join(f"{n} {s}" for s, n in sorted(risks.items())))
    if plan.not_migrated:
        kinds = collections.Counter(n.kind for n in plan.not_migrated)
        lines.append("left out: " + ", ".join(f"{n} {k}" for k, n in sorted(kinds.items())))
    return lines


def plan_document(loaded: desk.Loaded, later: Sequence[owed.Owed]) -> dict[str, Any]:
    """Return the contract's document for a plan."""
    plan = loaded.plan
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
        "inventory": [
            {"kind": i.kind, "object": i.object, "verdict": str(i.fate), "reason": i.reason}
            for i in inventory.items(plan)
        ],
        "not_carried_out": [{"path": o.path, "message": o.message, "required": o.required} for o in later],
        "estimate": {
            "rows": plan.estimate.rows,
            "bytes": plan.estimate.bytes,
            "seconds": plan.estimate.seconds,
            "rollback_seconds": plan.estimate.rollback_seconds,
            "rollback_bytes": _kept_bytes(loaded),
        },
    }


#: A plan of more steps than this is shown to people by kind; --json has every step.
_STEPS_SHOWN = 60
#: A status of more tables than this names only those that something happens to; --detailed names all.
_TABLES_SHOWN = 30


def _kept_bytes(loaded: desk.Loaded) -> int:
    """Return the disk that a full rollback goes on taking on the target."""
    keeps = rollback.keeps(loaded.plan, loaded.config.options.evidence)
    return loaded.plan.estimate.rollback_bytes if keeps else 0


def plan_text(loaded: desk.Loaded, later: Sequence[owed.Owed]) -> list[str]:
    """Show a plan to people."""
    migration, plan = loaded.id, loaded.plan
    e, kept = plan.estimate, _kept_bytes(loaded)
    lines = [
        f"{migration} ({plan.name}): {plan.source_engine} to {plan.target_engine}",
        f"{output.count(len(plan.tables), 'table')}, {e.rows:,} rows, {output.amount(e.bytes)}",
        f"estimate: {output.duration(e.seconds)}; rollback {output.duration(e.rollback_seconds)}, which keeps"
        f" {f'{output.amount(kept)} of disk as evidence' if kept else 'no evidence on the target'}",
        "",
        "steps, each with its way back:",
    ]
    lines += output.table(_step_rows(plan.steps), ("step", "object", "way back"))
    if len(plan.steps) > _STEPS_SHOWN:
        lines.append(f"each of the {len(plan.steps)} steps: sensei migrations plan {migration} --json")
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
    lines += ["", "objects of the source:"]
    rows = [(kind, *map(str, counts)) for kind, *counts in inventory.summary(inventory.items(plan))]
    lines += output.table(rows, ("kind", "migrated", "changed", "not migrated"))
    if plan.not_migrated:
        lines += ["", "not migrated:"]
        lines += output.table([(n.kind, n.object, n.reason) for n in plan.not_migrated], ("kind", "object", "reason"))
        if (saved := left.path(migration)).exists():
            lines.append(f"their definitions, for the work by hand: {saved}")
    if later:
        lines += ["", "asked for in the configuration, not carried out by this version:"]
        lines += [f"  {'blocks start: ' if o.required else ''}{o.path}: {o.message}" for o in later]
    lines += ["", f"next: {loaded.next_command()}"]
    return lines


def _step_rows(steps: Sequence[model.Step]) -> list[tuple[str, str, str]]:
    if len(steps) <= _STEPS_SHOWN:
        return [(s.kind.replace("_", " "), s.object, s.inverse) for s in steps]
    alike: dict[tuple[str, str], list[str]] = {}
    for step in steps:
        alike.setdefault((step.kind, step.inverse), []).append(step.object)
    return [
        (kind.replace("_", " "), objects[0] if len(objects) == 1 else f"{len(objects)}: {objects[0]}, …", inverse)
        for (kind, inverse), objects in alike.items()
    ]


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
    if outcome.views_left:
        lines.append(
            f"{output.count(outcome.views_left, 'view')} did not answer there as on the source, and"
            f" {'was' if outcome.views_left == 1 else 'were'} left behind: sensei migrations status {migration}"
            " --detailed"
        )
    lines.append(f"the way back stays open: sensei migrations rollback {migration} --full --verify")
    return lines


def rollback_text(migration: str, report: back.Report) -> list[str]:
    """Show the five lines as the spec prints them."""
    lines = [f"{migration} is {report.status}"]
    if set(report.lines.values()) == {"not_checked"}:
        lines.append(f"not verified yet: sensei migrations verify-rollback {migration}")
    return lines + verification_text(migration, report)


def verification_text(migration: str, report: back.Report) -> list[str]:
    """Show the lines that were measured, each difference, and what is kept."""
    lines = []
    if set(report.lines.values()) != {"not_checked"}:
        lines.append("rollback_verification:")
        lines += [f"  - {name}: {str(v).lower() if isinstance(v, bool) else v}" for name, v in report.lines.items()]
        lines.append(("passed" if report.passed else "FAILED") + f" in {output.duration(report.duration_seconds)}")
    if report.waived:
        lines.append(f"not demanded by the file's rollback_verification: {', '.join(report.waived)}")
    lines += [f"difference: {d}" for d in report.differences]
    if report.evidence:
        lines.append(f"kept as evidence: {_several([str(e.get('object')) for e in report.evidence])}")
        lines.append(f"see: sensei evidence list {migration}")
    return lines


def _several(names: Sequence[str], shown: int = 10) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def status_text(found: dict[str, Any]) -> list[str]:
    """Show a status to people."""
    progress = found["progress"]
    lines = [
        f"{found['id']} ({found['name']}{', ' + found['environment'] if found['environment'] else ''})"
        f" is {found['status']}, phase {found['phase']}",
        f"from {found['source']}",
        f"to   {found['target']}",
        (
            f"{progress['rows_copied']:,} rows had been copied and were taken back"
            if found["status"] == states.State.ROLLED_BACK
            else f"{progress['percent']} %: {progress['rows_copied']:,} of {progress['rows_total']:,} rows"
        )
        + (f", {progress['rate']:,} rows/s" if progress["rate"] else "")
        + (f", {output.duration(progress['eta_seconds'])} left" if progress["eta_seconds"] else ""),
    ]
    if progress["current"]:
        lines.append(f"now: {progress['current']}")
    runner = found["runner"]
    if runner:
        who = f"process {runner['pid']} on {runner['host']}"
        since = f"since {moment(runner['since'])}"
        lines.append(f"{who} runs it {since}" if runner["alive"] else f"{who}, which ran it {since}, is gone")
    last = found.get("validation")
    if last:
        failures = f", {output.count(last['failures'], 'failure')}" if last["failures"] else ""
        void = ", void since" if last["void"] else ""
        lines.append(f"validation {last['number']} ({last['type']}): {spaced(last['status'])}{failures}{void}")
    tables = progress["tables"]
    if len(tables) > _TABLES_SHOWN and "steps" not in found:
        tables = [t for t in tables if t["status"] == "copying" or t["rows_quarantined"]]
        counts = collections.Counter(t["status"] for t in progress["tables"])
        lines.append(
            f"{len(progress['tables'])} tables: {', '.join(f'{n} {s}' for s, n in counts.items())};"
            f" each of them: sensei migrations status {found['id']} --detailed"
        )
    rows = [
        (
            t["name"],
            t["status"],
            f"{t['rows_copied']:,}",
            f"{t['rows_total']:,}",
            f"{t['chunks_done']}/{t['chunks_total']}",
            f"{t['rows_quarantined']:,}",
        )
        for t in tables
    ]
    if rows:
        lines += ["", *output.table(rows, ("table", "status", "rows", "of", "chunks", "quarantine"))]
    if found["errors"]["total"]:
        lines += ["", f"{found['errors']['total']:,} rows in quarantine ({found['errors']['rate']:.2%} of all)"]
    for row in found.get("quarantine", {}).get("rows", []):
        lines.append(f"  {row['table']} {row['key']}: {row['reason']}")
    if found.get("quarantine", {}).get("note"):
        lines.append(f"  {found['quarantine']['note']}")
    if found.get("coerced"):
        values = [
            (f"{c['table']}.{c['column']}", f"{c['values']:,}", f"{c['rows']:,}", c["decision"], c["says"])
            for c in found["coerced"]
        ]
        lines += ["", *output.table(values, ("column", "values", "of rows", "by", "which"))]
    if found.get("views"):
        rows_of_views = [(v["view"], v["state"], v["says"]) for v in found["views"]]
        lines += ["", *output.table(rows_of_views, ("view", "state", "compared"))]
    if found.get("steps"):
        lines += ["", "steps:"]
        lines += output.table(
            [
                (_step_state(found, s), spaced(s["kind"]), s["object"], moment(s["at"]) if s["at"] else "")
                for s in found["steps"]
            ],
            ("state", "step", "object", "at"),
        )
    if found.get("journal"):
        problems = found["journal"]["problems"]
        verdict = "was edited or damaged:" if problems else "chain and signatures hold"
        lines += ["", f"journal: {found['journal']['events']} events, {verdict}", *(f"  {p}" for p in problems)]
    if found["failure"]:
        lines += ["", f"failed: {found['failure']['message']}"]
    if found["advice"]:
        a = found["advice"]
        lines += ["", f"{a['situation']}: {a['recommended_action']} (time pressure: {a['time_pressure']})"]
    lines += ["", f"next: {found['next']}"]
    return lines


def _step_state(found: dict[str, Any], step: dict[str, Any]) -> str:
    """After a rollback, what was built into a table went with it, without an undo of its own."""
    went = found["status"] == states.State.ROLLED_BACK and step["state"] == "done"
    return "gone" if went and step["inverse"].startswith("goes with") else str(step["state"])
