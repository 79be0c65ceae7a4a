"""Turns reports of validations into an operator's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sensei.cli import output
from sensei.runner import validate
from sensei.validation import advice, model
from sensei.validation.workload import titled

#: More failures of one kind than this are told by their number; --json and exports have all.
_SHOWN = 15
_SAMPLES = 5


def report_text(found: Mapping[str, Any], failures_only: bool = False) -> list[str]:
    """Show a report: the verdict, the perspectives, and the failures under the decision tree."""
    lines = [f"{found['id']} ({found['name']}): validation {found['run']} ({found['type']}) is {found['status']}"]
    if found.get("void"):
        lines.append("void: tables were taken back or copied again since; run it again")
    if not failures_only:
        rows = [(name, of["verdict"].replace("_", " "), of["summary"]) for name, of in found["perspectives"].items()]
        lines += ["", *output.table(rows, ("perspective", "verdict", "what was looked at"))]
    if found["failures"]:
        lines += ["", *_tree(found["failures"])]
    elif failures_only:
        lines.append("no failures")
    lines += ["", f"next: {_next(found)}"]
    return lines


def _next(found: Mapping[str, Any]) -> str:
    if found["status"] == "validated":
        return (
            f"sensei validations report {found['id']} --export report.html, or: sensei migrations status {found['id']}"
        )
    return f"sensei validations divergence {found['id']}, then: sensei validations run {found['id']}"


def _tree(failures: Iterable[Mapping[str, Any]]) -> list[str]:
    """Draw the spec's decision tree with what was found under each of its branches."""
    issues: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for failure in failures:
        issue, _ = advice.TREE[model.Cause(failure["cause"])]
        if failure["perspective"] == model.Perspective.PERFORMANCE:
            issue = advice.TREE[model.Cause.SLOWER][0]
        issues.setdefault(issue, {}).setdefault(failure["recommended_action"], []).append(failure)
    lines = ["Validation Failed" if _critical(issues) else "Nothing critical, but:"]
    for n, (issue, actions) in enumerate(issues.items(), 1):
        last = n == len(issues)
        lines.append(f"{'└──' if last else '├──'} {issue}")
        bar = "    " if last else "│   "
        for m, (action, those) in enumerate(actions.items(), 1):
            end = m == len(actions)
            lines.append(f"{bar}{'└──' if end else '├──'} {action}")
            inner = bar + ("    " if end else "│   ")
            for failure in those[:_SHOWN]:
                lines.append(f"{inner}{failure['severity']}: {failure['detail']}")
            if len(those) > _SHOWN:
                lines.append(f"{inner}and {len(those) - _SHOWN} more")
            hints = (str(f["facts"]["hint"]) for f in those if "hint" in f.get("facts", {}))
            lines += [f"{inner}{hint}" for hint in dict.fromkeys(hints)]
    return lines


def _critical(issues: Mapping[str, Mapping[str, list[Mapping[str, Any]]]]) -> bool:
    return any(f["severity"] == "critical" for actions in issues.values() for those in actions.values() for f in those)


def divergence_text(found: Mapping[str, Any]) -> list[str]:
    """Show how far tables are apart, with samples."""
    tables = found["divergence"]["tables"]
    rows = [
        tuple(f"{t[k]:,}" if k != "name" else t[k] for k in _COLUMNS)
        for t in tables
    ]  # fmt: skip
    lines = [f"{found['id']}: validation {found['run']} ({found['type']})"]
    if found.get("void"):
        lines.append("void: tables were taken back or copied again since; run it again")
    if rows:
        head = ("table", "rows compared", "missing", "extra", "different", "quarantined")
        lines += ["", *output.table(rows, head)]
    for table in tables:
        if not (table["missing"] or table["extra"] or table["different"]):
            continue
        lines += ["", table["name"]]
        lines += [f"  {pattern['says']}" for pattern in table["patterns"]]
        lines += [f"  {sample(one)}" for one in table["samples"][:_SAMPLES]]
        if len(table["samples"]) > _SAMPLES:
            lines.append(f"  and more: sensei validations divergence {found['id']} --export report.json")
        if table["evidence"]:
            lines.append(f"  {table['evidence']}")
        if table["cause"]:
            cause = model.Cause(table["cause"])
            lines.append(f"  {advice.action(cause, found['id'], table['name'])}")
    queries = found["divergence"]["queries"]
    for query in queries:
        lines += ["", titled(query["says"])]
        for side in ("source", "target"):
            lines += [f"  only the {side} has {row}" for row in query["only_" + side][:_SAMPLES]]
    if all(not (t["missing"] or t["extra"] or t["different"]) for t in tables) and not queries:
        lines += ["", "nothing differs in what was compared"]
    lines += ["", f"next: {_next(found)}"]
    return lines


_COLUMNS = ("name", "rows_compared", "missing", "extra", "different", "quarantined")


def sample(of: Mapping[str, Any]) -> str:
    """Show one difference, down to its values."""
    key = ", ".join(f"{k}={_value(v)}" for k, v in of["key"].items())
    if of["kind"] == "missing":
        return f"{key}: missing on the target"
    if of["kind"] == "extra":
        return f"{key}: not on the source"
    return f"{key}: {of['column']} is {_value(of['source'])} on the source, {_value(of['target'])} there"


def _value(value: str | None) -> str:
    if value is None:
        return "NULL"
    return repr(value) if len(value) <= 60 else repr(value[:60]) + "…"


def outcome_text(migration: str, rows: int, quarantined: int, done: validate.Done) -> list[str]:
    """Tell how a run of a migration ended that was validated at its end."""
    if done.document is None:
        return [
            f"{migration} is {done.status}: {rows:,} rows are in the target, its validation was interrupted",
            f"next: sensei migrations resume {migration}",
        ]
    lines = [f"{migration} is {done.status}: {rows:,} rows"]
    if quarantined:
        lines.append(
            f"{quarantined:,} rows could not be carried and are in quarantine:"
            f" sensei migrations status {migration} --detailed"
        )
    lines += ["", *report_text(done.document)]
    lines.append(f"the way back stays open: sensei migrations rollback {migration} --full --verify")
    return lines
