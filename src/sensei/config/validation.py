"""The section `validation`: how source and target are compared."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from sensei.config import fields
from sensei.config.fields import Duration, Name, Section, Words

Severity = Literal["critical", "warning", "info"]


class Rule(Section):
    """A business rule: a query whose answer must be the same on both sides."""

    name: Name
    table: Words | None = None  #: the table that a failure is reported for
    source: Words  #: query in the source's dialect
    target: Words | None = None  #: query in the target's dialect; None: the source's, translated
    severity: Severity = "critical"


class Tolerances(Section):
    """Differences that are agreed to."""

    #: Largest relative difference of two floating-point values, from 0 to 1.
    float_relative: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.0
    #: Largest difference of two timestamps.
    timestamp: Duration = "0s"
    #: Largest share of rows that may be missing, from 0 to 1.
    row_count: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.0
    #: Largest difference of the shares of NULL in a column, from 0 to 1.
    null_rate: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.0
    #: Largest relative difference of the numbers of distinct values of a column, from 0 to 1.
    distinct: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.0
    #: Columns that are not compared, as table.column or schema.table.column.
    ignore_columns: tuple[Words, ...] = ()


class Relationship(Section):
    """Rows of one table that must find their rows of another, declared as a foreign key or not."""

    table: Words
    columns: Annotated[tuple[Words, ...], pydantic.Field(min_length=1)]
    references: Words  #: the other table
    to: tuple[Words, ...] = ()  #: its columns; empty: its primary key


class Validation(Section):
    """When and how deeply source and target are compared."""

    #: What runs by itself after the copy.
    auto: Literal["full", "quick", "none"] = "none"
    rules: tuple[Rule, ...] = ()
    #: Beside the foreign keys of the source. All names are the source's.
    relationships: tuple[Relationship, ...] = ()
    #: File of queries that are replayed on both sides.
    workload: Words | None = None
    fidelity: Literal["exact", "semantic"] = "exact"
    tolerances: Tolerances = Tolerances()
    #: A verdict older than this doesn't open the gate.
    max_age: Duration = "24h"

    @pydantic.model_validator(mode="after")
    def _rules_have_own_names(self) -> Validation:
        names: set[str] = set()
        for i, rule in enumerate(self.rules):
            if rule.name in names:
                raise fields.wrong(f"two rules are called '{rule.name}'", key=("rules", i, "name"))
            names.add(rule.name)
        return self
