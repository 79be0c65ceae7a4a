"""The section `cutover_plan`: when, how and with whom users move to the target."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from sensei.config import fields
from sensei.config.fields import Moment, Name, Section, Words
from sensei.config.reader import shown


def _address(value: str) -> str:
    name, _, host = value.rpartition("@")
    if not name or not host or any(c.isspace() or ord(c) < 32 for c in value):
        raise fields.wrong(f"expected a mail address such as dba@example.com, found '{shown(value)}'")
    return value


Address = Annotated[str, pydantic.AfterValidator(_address)]


class Contacts(Section):
    """Who is told, and who decides."""

    decision_maker: Address | None = None
    technical_lead: Address | None = None
    business_owner: Address | None = None


class CutoverPhase(Section):
    """A group of tables that moves together under `strategy: phased`."""

    name: Name
    tables: Annotated[tuple[Words, ...], pydantic.Field(min_length=1)]


class Traffic(Section):
    """How the application's traffic is moved: commands or URLs."""

    to_target: Words | None = None
    to_source: Words | None = None
    check: Words | None = None


class CutoverPlan(Section):
    """The cutover: its window, its people, its strategy."""

    window_start: Moment | None = None
    window_end: Moment | None = None
    #: Latest time to decide on a rollback.
    rollback_decision_point: Moment | None = None
    contacts: Contacts = Contacts()
    strategy: Literal["big_bang", "parallel", "phased"] = "big_bang"
    phases: tuple[CutoverPhase, ...] = ()
    traffic: Traffic | None = None

    @pydantic.model_validator(mode="after")
    def _window_is_in_order(self) -> CutoverPlan:
        start, end, decision = self.window_start, self.window_end, self.rollback_decision_point
        if (start is None) != (end is None):
            has, lacks = ("window_end", "window_start") if start is None else ("window_start", "window_end")
            raise fields.wrong(f"'{has}' needs '{lacks}'", key=has)
        if start is None or end is None:
            if decision is not None:
                raise fields.wrong(
                    "'rollback_decision_point' needs 'window_start' and 'window_end'",
                    key="rollback_decision_point",
                )
            return self
        if end <= start:
            raise fields.wrong("the window must end after it starts", key="window_end")
        if decision is not None and not start < decision <= end:
            raise fields.wrong(
                "the decision must lie after 'window_start' and not after 'window_end'",
                key="rollback_decision_point",
            )
        return self

    @pydantic.model_validator(mode="after")
    def _phases_are_apart(self) -> CutoverPlan:
        if self.strategy == "phased" and not self.phases:
            raise fields.wrong("'strategy: phased' needs 'phases'", key="strategy")
        if self.phases and self.strategy != "phased":
            raise fields.wrong(f"'phases' need 'strategy: phased', found '{self.strategy}'", key="phases")
        names: set[str] = set()
        tables: dict[str, str] = {}
        for i, phase in enumerate(self.phases):
            if phase.name in names:
                raise fields.wrong(f"two phases are called '{phase.name}'", key=("phases", i, "name"))
            names.add(phase.name)
            for j, table in enumerate(phase.tables):
                if table in tables:
                    raise fields.wrong(
                        f"the table '{table}' is in phase '{tables[table]}' already",
                        key=("phases", i, "tables", j),
                    )
                tables[table] = phase.name
        return self
