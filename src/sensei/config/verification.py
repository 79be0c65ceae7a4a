"""The section `rollback_verification`: the lines that must hold after a rollback."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from sensei.config import fields
from sensei.config.fields import Section

#: Line -> the value that means it holds.
LINES: dict[str, str | bool] = {
    "source_row_counts": "unchanged",
    "source_data_integrity": "verified",
    "target_cleaned": True,
    "indexes_restored": True,
    "sequences_reset": True,
}


class VerificationLine(Section):
    """One line that must hold; exactly one of the fields is set."""

    source_row_counts: Literal["unchanged"] | None = None
    source_data_integrity: Literal["verified"] | None = None
    target_cleaned: Literal[True] | None = None
    indexes_restored: Literal[True] | None = None
    sequences_reset: Literal[True] | None = None

    @pydantic.model_validator(mode="after")
    def _is_one_line(self) -> VerificationLine:
        if len(self.model_fields_set) != 1 or self.line[1] is None:
            raise fields.wrong("expected one line such as '- target_cleaned: true'")
        return self

    @pydantic.model_serializer(mode="plain")
    def _as_written(self) -> dict[str, Any]:
        return dict([self.line])

    @property
    def line(self) -> tuple[str, Any]:
        """The line's name and the value that it must have."""
        name = next(iter(self.model_fields_set), "")
        return name, getattr(self, name, None)
