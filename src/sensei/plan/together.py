"""Steps that are taken together: many small ones share a transaction and the journal's wait for the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sensei.plan import model

#: Steps in one transaction, and rows of a table up to which its steps are small: what an operator waits for a pause,
#: and what a crash takes back, stays well below a second.
STEPS = 50
ROWS = 10_000

#: Kinds of steps that may share a transaction, by what they are to each other.
_ALIKE = {
    "create_sequence": "create",
    "create_table": "create",
    "set_aside_existing": "aside",
    "create_stage": "stage",
    "primary_key": "build",
    "unique": "build",
    "index": "build",
    "check": "build",
    "foreign_key": "tie",
    "prime": "prime",
    "prime_sequence": "prime",
    "create_view": "view",
}


def batches(plan: model.Plan, steps: Iterable[model.Step]) -> Iterator[list[model.Step]]:
    """Yield the steps in their order, those that follow each other and may be taken together in one list."""
    batch: list[model.Step] = []
    before: str | None = None
    for step in steps:
        alike = _ALIKE.get(step.kind) if _is_small(plan, step) else None
        if batch and (alike is None or alike != before or len(batch) == STEPS):
            yield batch
            batch = []
        batch.append(step)
        before = alike
    if batch:
        yield batch


def _is_small(plan: model.Plan, step: model.Step) -> bool:
    return step.table is None or plan.table(step.table).rows <= ROWS
