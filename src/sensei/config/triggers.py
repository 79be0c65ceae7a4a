"""The section `auto_rollback`: conditions that make Sensei act by itself."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from sensei import conditions, errors
from sensei.config import fields
from sensei.config.fields import Section
from sensei.config.validation import Severity


def _condition(value: str) -> str:
    try:
        conditions.parse(value)
    except errors.BadInput as problem:
        known = f" ({problem.hint})" if problem.hint else ""
        _, _, message = problem.message.partition(": ")
        raise fields.wrong(message + known, offset=problem.details["column"] - 1) from None
    return value


class Trigger(Section):
    """A condition and what follows from it."""

    condition: Annotated[str, pydantic.AfterValidator(_condition)]
    #: Of an event: how severe it must be to count; None: however severe.
    severity: Severity | None = None
    action: Literal["pause_and_alert", "stop_and_investigate", "auto_rollback", "alert_and_assess"]

    @property
    def parsed(self) -> conditions.Condition:
        """The condition, ready to evaluate."""
        return conditions.parse(self.condition)

    @pydantic.model_validator(mode="after")
    def _severity_is_of_an_event(self) -> Trigger:
        if self.severity is not None and isinstance(self.parsed, conditions.Comparison):
            raise fields.wrong(
                "'severity' narrows an event such as validation_failure; a comparison has none",
                key="severity",
            )
        return self


class AutoRollback(Section):
    """Whether Sensei acts by itself, and on what."""

    enabled: bool
    triggers: tuple[Trigger, ...] = ()
