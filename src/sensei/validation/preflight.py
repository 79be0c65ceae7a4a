"""What of a validation's section can't be carried out as it stands, said before any state moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sensei import errors
from sensei.config import validation as configuration
from sensei.validation import scope, workload


def problems(
    plan: scope.Plan, asked: configuration.Validation, folder: Path | None, where: Callable[[str], str]
) -> list[str]:
    """Return a line for each rule about a table that the plan has not, and for a workload that can't be read."""
    found = []
    for n, rule in enumerate(asked.rules):
        if rule.table is not None and plan.resolve(rule.table) is None:
            known = ", ".join(t.id for t in plan.tables[:20])
            at = where(f"validation.rules[{n}]")
            found.append(f"{at}the rule {rule.name}: no table of the plan is called {rule.table}; it has {known}")
    if asked.workload not in (None, workload.SERVER):
        try:
            workload.contents(workload.file(str(asked.workload), folder), where("validation.workload"))
        except errors.BadInput as problem:
            found.append(problem.message)
    return found


def refuse(plan: scope.Plan, asked: configuration.Validation, folder: Path | None, where: Callable[[str], str]) -> None:
    """Raise BadInput where there are any."""
    found = problems(plan, asked, folder, where)
    if found:
        raise errors.BadInput("\n".join(found), hint="correct it, then run the same command again")
