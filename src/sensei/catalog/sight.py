"""A table as a migration sees it: some of its rows, and columns whose values the source computes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SightColumn:
    """One column. Its name is the source's, also where an expression stands in its place."""

    name: str
    sql: str = ""  #: what gives its value, in the source's dialect; "": the column itself
    native: str = ""  #: type of the computed value, as the source's engine writes types


@dataclass(frozen=True)
class Sight:
    """What stands in a table's place wherever its rows are read for a migration."""

    columns: tuple[SightColumn, ...]  #: all that the table has
    where: str = ""  #: a condition in the source's dialect; "": every row
    rowid: str = ""  #: SQLite: the name under which the table's rowid is to be had, where no column bears it

    def computed(self) -> dict[str, SightColumn]:
        """Return the columns that are computed, by name."""
        return {c.name: c for c in self.columns if c.sql}
