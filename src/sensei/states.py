"""The states of a migration, a step and a table, and the one table of legal transitions."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a migration stands."""

    PLANNED = "planned"  #: created; nothing has touched source or target
    RUNNING = "running"  #: a runner copies
    PAUSED = "paused"  #: stopped by an operator; remembers where it returns to
    FAILED = "failed"  #: an error that retries did not cure; left by resume or rollback
    COMPLETED = "completed"  #: everything copied, built and proven
    VALIDATING = "validating"
    VALIDATED = "validated"
    VALIDATION_FAILED = "validation_failed"
    CUTTING_OVER = "cutting_over"
    CUT_OVER = "cut_over"
    SWITCHING_BACK = "switching_back"
    FINALIZED = "finalized"  #: final
    ROLLING_BACK = "rolling_back"  #: a rollback began; the same command goes on after a crash
    ROLLED_BACK = "rolled_back"  #: final
    CANCELLED = "cancelled"  #: final; only from planned


FINAL = frozenset({State.FINALIZED, State.ROLLED_BACK, State.CANCELLED})

_FULL_ROLLBACK_FROM = frozenset(set(State) - {State.PLANNED, State.FINALIZED, State.CANCELLED, State.ROLLED_BACK})

#: Some tables alone are only taken back before a cutover; a paused migration counts as what it returns to.
PARTIAL_ROLLBACK_FROM = frozenset(
    {
        State.RUNNING,
        State.PAUSED,
        State.FAILED,
        State.COMPLETED,
        State.VALIDATING,
        State.VALIDATED,
        State.VALIDATION_FAILED,
    }
)

#: from -> states that may follow. Compare states by name, never by order.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.PLANNED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset({State.COMPLETED, State.PAUSED, State.FAILED}),
    State.PAUSED: frozenset({State.RUNNING, State.COMPLETED, State.CUT_OVER}),
    State.FAILED: frozenset({State.RUNNING}),
    State.COMPLETED: frozenset({State.VALIDATING, State.PAUSED, State.FINALIZED}),
    State.VALIDATING: frozenset({State.VALIDATED, State.VALIDATION_FAILED, State.FAILED}),
    State.VALIDATED: frozenset({State.VALIDATING, State.RUNNING, State.CUTTING_OVER, State.FINALIZED}),
    State.VALIDATION_FAILED: frozenset({State.VALIDATING, State.RUNNING}),
    State.CUTTING_OVER: frozenset({State.CUT_OVER, State.VALIDATED, State.COMPLETED}),
    State.CUT_OVER: frozenset({State.SWITCHING_BACK, State.PAUSED, State.FINALIZED}),
    State.SWITCHING_BACK: frozenset({State.COMPLETED, State.CUT_OVER}),
    State.ROLLING_BACK: frozenset({State.ROLLED_BACK, State.PAUSED}),
    State.ROLLED_BACK: frozenset(),
    State.FINALIZED: frozenset(),
    State.CANCELLED: frozenset(),
}
for _state in _FULL_ROLLBACK_FROM - {State.ROLLING_BACK}:
    TRANSITIONS[_state] = TRANSITIONS[_state] | {State.ROLLING_BACK}


class Phase(StrEnum):
    """The phase of the spec that a state belongs to."""

    PLANNING = "planning"
    EXECUTION = "execution"
    VALIDATION = "validation"
    POST_CUTOVER = "post_cutover"


class StepState(StrEnum):
    """Where a step stands in the journal."""

    PENDING = "pending"
    BEGUN = "begun"  #: facts for the undo are written, the act may or may not have taken effect
    DONE = "done"
    UNDONE = "undone"


class TableState(StrEnum):
    """Where a table stands, as status shows it."""

    PENDING = "pending"
    COPYING = "copying"
    COPIED = "copied"
    DONE = "done"  #: copied, keys and indexes built and proven
    ROLLED_BACK = "rolled_back"


def allowed(before: State, after: State) -> bool:
    """Tell whether a migration may go from one state to another."""
    return after in TRANSITIONS[before]


def phase_of(state: State, returns_to: State | None = None) -> Phase:
    """Return the phase of the spec for a state; a paused migration is in the phase that it returns to."""
    if state is State.PAUSED and returns_to is not None:
        return phase_of(returns_to)
    if state in (State.PLANNED, State.CANCELLED):
        return Phase.PLANNING
    if state in (State.VALIDATING, State.VALIDATED, State.VALIDATION_FAILED):
        return Phase.VALIDATION
    if state in (State.CUTTING_OVER, State.CUT_OVER, State.SWITCHING_BACK, State.FINALIZED):
        return Phase.POST_CUTOVER
    return Phase.EXECUTION


def diagram() -> str:
    """Draw the table of transitions as text, one line a state."""
    width = max(len(s) for s in State)
    return "\n".join(f"{state:<{width}} -> {', '.join(sorted(TRANSITIONS[state])) or '(final)'}" for state in State)
