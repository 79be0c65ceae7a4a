"""The perspectives, each with the function that looks from it, in the order in which a run looks."""

from __future__ import annotations

from collections.abc import Callable

from sensei.validation import (
    behavioral,
    model,
    performance,
    referential,
    rows,
    scope,
    semantic,
    statistical,
    structural,
)

#: Looks from one perspective; called once a run.
#:
#: It calls `scope.pause()` between units of work, which raises Paused where somebody asked to stop, and tells by
#: `scope.progress` how far it is. What took long it notes in `scope.memory`, so that a run that was cut off goes on
#: behind it. What it finds is a `Failure`, never an exception; errors of a server are raised: the run fails, and
#: `resume` goes on. Without work it returns `scope.not_asked` and says why: it never passes silently.
Check = Callable[[scope.Scope], model.Outcome]


CHECKS: dict[model.Perspective, Check] = {
    model.Perspective.STRUCTURAL: structural.check,
    model.Perspective.DATA: rows.check,
    model.Perspective.STATISTICAL: statistical.check,
    model.Perspective.REFERENTIAL: referential.check,
    model.Perspective.SEMANTIC: semantic.check,
    model.Perspective.BEHAVIORAL: behavioral.check,
    model.Perspective.PERFORMANCE: performance.check,
}
