"""The port for what the target has already: the target's own tables make way for a migration, and come back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sensei import catalog
from sensei.engines import base

#: Bytes of a place's name, so that a tail and the engines' limits leave room.
_LONGEST = 55


def place_name(word: str, migration: str) -> str:
    """Return the name of a migration's place in the target, such as `sensei_evidence_mig_5f3a9c21`."""
    name = f"sensei_{word}_{migration}"
    if len(name) <= _LONGEST:
        return name
    mark = hashlib.sha256(migration.encode()).hexdigest()[:12]  # the id of a long environment
    return f"{name[: _LONGEST - 13]}_{mark}"


@dataclass(frozen=True)
class Part:
    """One stored definition that belongs to a held table, where it has to be written anew on the way there or back.

    SQLite keeps all definitions as text; MariaDB moves no table with triggers, and `sql` makes one again.
    """

    kind: str
    name: str
    sql: str | None


@dataclass(frozen=True)
class Held:
    """One object of the target's own that makes way: moved into the keeping place, and moved back by rollback."""

    kind: str  #: "table" or "sequence"
    name: catalog.TableName
    identity: str  #: by which `Keep.is_as_planned` knows it again
    slot: int = 1  #: which of the migration's keeping places: one for each schema, so that no names collide there
    parts: tuple[Part, ...] = ()
    beside: tuple[catalog.TableName, ...] = ()  #: held tables that these parts name, itself included
    goes: tuple[str, ...] = ()  #: words of `Introspect.dependents` for what goes with it, where they tell more

    @property
    def own(self) -> frozenset[str]:
        """What `Introspect.dependents` says of what goes with the object, and so does not hang on it from outside."""
        return frozenset(self.goes) | {f"trigger {p.name}" for p in self.parts if p.kind == "trigger"}


@dataclass(frozen=True)
class Hanging:
    """Something of the target's own that hangs on held tables from outside, and must not follow them."""

    kind: str  #: "view", "foreign_key" or "trigger"
    words: str  #: as `Introspect.dependents` names it
    name: catalog.TableName  #: the view, or the table that carries the foreign key or the trigger
    object: str  #: the foreign key's or the trigger's own name
    definition: str  #: what it is bound by again
    #: The columns that it uses of each held table; empty where only the table itself counts.
    uses: tuple[tuple[catalog.TableName, tuple[str, ...]], ...]
    #: Unique keys that it needs on held tables.
    needs: tuple[tuple[catalog.TableName, tuple[str, ...]], ...] = ()
    columns: tuple[str, ...] = ()  #: of a foreign key: its own columns, as `needs` has those that they point at
    validated: bool = True  #: of a foreign key: every row was checked
    comment: str = ""  #: of a foreign key that is taken off and put back
    mark: str = ""  #: changes with whatever the dependant is bound by
    held: tuple[tuple[catalog.TableName, str], ...] = ()  #: identities of the held tables that it hangs on


@dataclass(frozen=True)
class Holdings:
    """What a look at existing tables gave."""

    held: tuple[Held, ...]
    hanging: tuple[Hanging, ...]
    hinders: tuple[str, ...]  #: what can neither be held nor bound anew, in words; any of it is a refusal


class Keep(Protocol):
    """Moves the target's own objects aside and back, with everything on them; costs per table, not per row.

    Life: look (planning); the place of each slot; aside for each object. Back: bring_back, then the places are dropped.
    """

    def look(
        self, session: base.Session, tables: Sequence[catalog.TableName], sequences: Sequence[catalog.TableName]
    ) -> Holdings:
        """Return what these objects are, what hangs on them, and what hinders their move; writes nothing."""

    def place(self, migration: str, slot: int, word: str = "kept") -> str:
        """Return the name of a place that has to be made and dropped; "" where it is a prefix of names."""

    def placed(self, migration: str, slot: int, word: str, name: catalog.TableName) -> catalog.TableName:
        """Return what a table of this name is called in a place."""

    def kept_name(self, migration: str, held: Held) -> catalog.TableName:
        """Return where an object lies while it is held."""

    def is_as_planned(self, session: base.Session, held: Held) -> bool:
        """Tell whether the object that bears this name now is the one that was looked at, and as it was then."""

    def still_held(self, migration: str, held: Held) -> str:
        """Return the condition, as SQL, that an object lies in its keeping place."""

    def aside(self, session: base.Session, migration: str, held: Held) -> list[str]:
        """Return the statements that move an object into its keeping place, in one transaction.

        Where DDL commits by itself: those that are left of them when a run was cut off.
        """

    def bring_back(self, migration: str, step: str, held: Held, evidence: str) -> list[base.Guarded]:
        """Return the statements that move an object back; stops where its name is taken.

        `step` moved it; `evidence` is the place to which the migrated tables went before.
        """


class Bind(Protocol):
    """Binds what hangs on held tables to the new ones, and back.

    Life: rebind, then settle, once the new tables are whole. Back: unbind while the new tables are still there,
    put_back when the old ones are there again. `made` maps each new table's name to the step that made it.
    """

    def rebind(self, hanging: Hanging) -> list[str]:
        """Return the statements that bind a dependant to the new tables; none where its name does it."""

    def settle(self, hanging: Hanging) -> tuple[str, list[str]]:
        """Return (query that counts rows without a partner, statements where it counts none): foreign keys only."""

    def mark(self, session: base.Session, hanging: Hanging) -> str | None:
        """Return what changes with whatever a dependant is bound by; None where it is gone."""

    def unbind(
        self, migration: str, step: str, hanging: Hanging, made: Mapping[catalog.TableName, str]
    ) -> list[base.Guarded]:
        """Return the statements that take a dependant off the new tables; stops where somebody changed it.

        The mark after `rebind` is in the ledger, in the facts of the step that did it, under "mark".
        """

    def put_back(
        self, migration: str, hanging: Hanging, made: Mapping[catalog.TableName, str], evidence: str
    ) -> list[base.Guarded]:
        """Return the statements that bind a dependant to the old tables again; `evidence` as in `Keep.bring_back`."""


def orphan(hanging: Hanging, quote: Callable[[str], str], qualified: Callable[[catalog.TableName], str]) -> str:
    """Write the condition that is true for rows `c` of the table that a held foreign key is of, without a partner."""
    held, references = hanging.needs[0]
    pairs = zip(hanging.columns, references, strict=True)
    match = " AND ".join(f"p.{quote(r)} = c.{quote(own)}" for own, r in pairs)
    given = " AND ".join(f"c.{quote(own)} IS NOT NULL" for own in hanging.columns)
    return f"{given} AND NOT EXISTS (SELECT 1 FROM {qualified(held)} p WHERE {match})"
