"""What validation, and whoever asks questions of both sides, has to know of a plan."""

from __future__ import annotations

from sensei.plan import model
from sensei.validation import scope


def of(made: model.Plan) -> scope.Plan:
    """Return a plan's tables with what their columns are called on either side, and where they are."""
    return scope.Plan(
        tuple(
            scope.Planned(
                t.id,
                t.source,
                t.target,
                _names(t),
                frozenset(t.seen_as.computed()) if t.seen_as is not None else frozenset(),
                t.seen_as.where if t.seen_as is not None else "",
            )
            for t in made.tables
        ),
        made.sequences,
        made.sequence_sources,
        made.schemas,
        made.target_schemas,
        made.source_engine == made.target_engine,
        tuple((n.kind, n.object, n.reason) for n in made.not_migrated),
    )


def _names(table: model.TablePlan) -> dict[str, str]:
    """Return how each column of the source is called on the target; generated ones stand where they stood."""
    names = {c.source: c.target for c in table.columns}
    if table.append is None:
        for source, target in zip(table.source.columns, table.target.columns, strict=True):
            names.setdefault(source.name, target.name)
    return names
