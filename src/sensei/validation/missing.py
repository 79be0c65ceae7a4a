"""Routines, triggers and views that the source has and the target lacks."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sensei import catalog
from sensei.validation import scope

#: Kind of an inventoried object -> what it is for an application.
KINDS = {
    "view": "view",
    "materialized view": "view",
    "function": "routine",
    "procedure": "routine",
    "aggregate": "routine",
    "window function": "routine",
    "trigger": "trigger",
    "event": "event",
}
_OF_A_TRIGGER = re.compile(r"\bRETURNS\s+trigger\b", re.IGNORECASE)


@dataclass(frozen=True)
class Missing:
    """One object that the target lacks."""

    kind: str
    name: str  #: as an operator would write it
    bare: str  #: its name alone, in small letters
    table: str | None  #: id of the planned table that it hangs on
    is_planned: bool = False  #: the plan said that it stays behind

    @property
    def shown(self) -> str:
        """The name, and the table that a trigger belongs to."""
        of_a_table = KINDS[self.kind] == "trigger" and self.table is not None and " on " not in self.name
        return f"{self.name} on {self.table}" if of_a_table else self.name


def find(plan: scope.Plan, source: catalog.Catalog, target: catalog.Catalog) -> list[Missing]:
    """Return what the target lacks, by kind and name; another engine's names are compared whatever their case."""
    there = {(KINDS[o.kind], bare(o)) for o in target.others if o.kind in KINDS}
    by_source = {t.source.name: t.id for t in plan.tables}
    found = []
    for other in source.others:
        kind = KINDS.get(other.kind)
        if kind is None or (kind, bare(other)) in there:
            continue
        if kind == "trigger" and other.table is not None and other.table not in by_source:
            continue  # of a table that was not asked for
        if kind == "routine" and not plan.same_engine and _OF_A_TRIGGER.search(other.definition):
            continue  # the body of a trigger, which other engines keep in the trigger itself
        table = by_source.get(other.table) if other.table else None
        found.append(Missing(other.kind, other.name, bare(other), table, _is_planned(plan, other)))
    return found


def _is_planned(plan: scope.Plan, other: catalog.Other) -> bool:
    """Tell whether the plan lists an object as not migrated, as `plan` shows it to the operator."""
    return any(
        kind == other.kind and (name == other.name or name.startswith(f"{other.name} on "))
        for kind, name, _ in plan.not_migrated
    )


def accepted(found: Iterable[Missing], patterns: Sequence[str]) -> tuple[list[Missing], list[Missing]]:
    """Split into what the operator agreed to lack (`tolerances.missing_objects`) and the rest."""
    agreed: list[Missing] = []
    rest: list[Missing] = []
    for one in found:
        names = (one.name, one.bare, f"{one.kind} {one.name}", f"{one.kind} {one.bare}")
        hit = any(fnmatch.fnmatchcase(n.lower(), p.lower()) for n in names for p in patterns)
        (agreed if hit else rest).append(one)
    return agreed, rest


def bare(other: catalog.Other) -> str:
    """Return an object's name without its schema, arguments and quotes, in small letters."""
    name = other.name.partition("(")[0]
    name = name.partition(" on ")[0] if other.kind == "trigger" else name
    return name.rpartition(".")[2].strip('"` ').lower()
