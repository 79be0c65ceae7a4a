"""The section `validation`: how source and target are compared."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from sensei import errors, queries
from sensei.config import fields
from sensei.config.fields import Duration, Name, Section, Words

Severity = Literal["critical", "warning", "info"]


class Rule(Section):
    """A business rule: a condition that each row of a table meets, or a query with the same answer on both sides."""

    name: Name
    table: Words | None = None  #: whose rows the condition is about; else the table that a failure is reported for
    condition: Words | None = None  #: portable SQL in the source's names; a row breaks it where it is false
    source: Words | None = None  #: query in the source's dialect
    target: Words | None = None  #: query in the target's dialect; None: the source's, translated
    severity: Severity = "critical"

    @pydantic.model_validator(mode="after")
    def _is_one_of_two(self) -> Rule:
        if (self.condition is None) == (self.source is None):
            raise fields.wrong(f"the rule '{self.name}' takes either a condition, or a query under source")
        if self.condition is not None and self.target is not None:
            raise fields.wrong(
                f"the rule '{self.name}' has a condition, which is asked on both sides: it has no target"
            )
        for key, read in (
            ("condition", queries.condition),
            ("source", queries.any_query),
            ("target", queries.any_query),
        ):
            text = getattr(self, key)
            try:
                if text is not None:
                    read(text)
            except errors.BadInput as problem:
                raise fields.wrong(f"the rule '{self.name}': {problem.message}", key=(key,)) from None
        return self


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
    #: Routines, triggers and views that the target may lack, by name or pattern, such as "trigger *".
    missing_objects: tuple[Words, ...] = ()
    #: A query that takes so many times as long on the target is told as slower; at least 1.
    slower: Annotated[float, pydantic.Field(ge=1)] = 2.0
    #: ... and by at least so much time.
    slower_by: Duration = "20ms"


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
    #: File of queries that are replayed on both sides, or "server": those that the source's own statistics hold.
    workload: Words | None = None
    fidelity: Literal["exact", "semantic"] = "exact"
    #: A rule or a query of the workload that takes longer on either side is given up.
    query_timeout: Duration = "60s"
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
