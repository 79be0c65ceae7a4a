"""What a table promises, in words that all engines share."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Foreign:
    columns: tuple[str, ...]
    parent: str
    references: tuple[str, ...]
    on_delete: str
    on_update: str


@dataclass
class Shape:
    """A table's promises. In MariaDB a unique constraint and a unique index are one: it is in both."""

    #: column -> type as its engine shows it
    types: dict[str, str] = field(default_factory=dict)
    not_null: dict[str, bool] = field(default_factory=dict)
    primary: tuple[str, ...] = ()
    uniques: set[tuple[str, ...]] = field(default_factory=set)
    #: name -> (columns, with DESC; unique)
    indexes: dict[str, tuple[tuple[str, ...], bool]] = field(default_factory=dict)
    foreign: set[Foreign] = field(default_factory=set)
    checks: list[str] = field(default_factory=list)
    column_checks: int = 0  #: how many of them are part of a column's definition (MariaDB tells)
    defaults: set[str] = field(default_factory=set)
    numbered: set[str] = field(default_factory=set)  #: columns that number their rows
    position: int | None = None  #: where the numbering stands
