"""The section `tables`: what becomes of single tables and columns."""

from __future__ import annotations

import pydantic

from sensei.config import fields
from sensei.config.fields import Section, Words


class ColumnMapping(Section):
    """What becomes of a column."""

    target: Words | None = None  #: new name
    type: Words | None = None  #: type on the target, in its dialect
    expression: Words | None = None  #: value, computed on the source in its dialect
    inverse: Words | None = None  #: the way back, computed on the target in its own dialect

    @pydantic.model_validator(mode="after")
    def _inverse_has_expression(self) -> ColumnMapping:
        if self.inverse is not None and self.expression is None:
            raise fields.wrong("'inverse' takes back an 'expression', but there is none", key="inverse")
        return self


class TableMapping(Section):
    """What becomes of a table."""

    target: Words | None = None  #: new name
    columns: dict[Words, ColumnMapping] = pydantic.Field(default_factory=dict)
    where: Words | None = None  #: rows to take, in the source's dialect

    @pydantic.model_validator(mode="after")
    def _targets_differ(self) -> TableMapping:
        seen: dict[str, str] = {}
        for column, mapping in self.columns.items():
            name = mapping.target or column
            if name in seen:
                raise fields.wrong(
                    f"the columns '{seen[name]}' and '{column}' would both become '{name}'",
                    key=("columns", column),
                )
            seen[name] = column
        return self
