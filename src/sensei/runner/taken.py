"""What the journal says of tables that were taken back while the others stayed."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sensei import catalog, rollback
from sensei.engines import base, ledger
from sensei.journal import migrations
from sensei.rollback import partial
from sensei.runner import desk as desks
from sensei.states import State, StepState
from sensei.work import slices

#: Kinds of events: one of an earlier home, entered anew; a rollback of some tables became one of everything; the
#: tables that stayed were looked at, or trusted, by the resume that followed.
RECOVERED, WIDENED, SETTLED = "tables_taken_back", "rollback_widened", "others_settled"


@dataclass(frozen=True)
class Taken:
    """One rollback of some tables."""

    number: int  #: 1, 2, 3…
    tables: tuple[str, ...]  #: ids of the tables, with those that came along
    asked: tuple[str, ...]  #: those that the operator named
    keep_progress: bool  #: the other tables' ledger is trusted by the resume that follows
    kept: tuple[catalog.TableName, ...]  #: names of the tables and sequences to set aside, as far as they are there
    pending: bool = False  #: begun and not over
    widened: bool = False  #: a rollback of everything has taken over from it
    settled: bool = False  #: a resume has done what comes before the tables are taken up again

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Taken:
        """Read what `data` wrote."""
        return cls(
            int(data["number"]),
            tuple(data["tables"]),
            tuple(data["asked"]),
            bool(data["keep_progress"]),
            tuple(catalog.TableName(schema, name) for schema, name in data["kept"]),
        )

    def data(self) -> dict[str, Any]:
        """Return what events keep of it, under the key `partial`."""
        return {
            "number": self.number,
            "tables": list(self.tables),
            "asked": list(self.asked),
            "keep_progress": self.keep_progress,
            "kept": [[n.schema, n.name] for n in self.kept],
        }


def taken(loaded: desks.Loaded) -> list[Taken]:
    """Return every rollback of some tables, oldest first; only the last can be pending."""
    found: list[Taken] = []
    for event in loaded.desk.store.events(loaded.id, kinds=(migrations.TRANSITION, RECOVERED, WIDENED, SETTLED)):
        partial = event.payload.get("partial")
        if event.kind == SETTLED:
            found = [dataclasses.replace(one, settled=True) for one in found]
        elif partial is not None:
            found.append(dataclasses.replace(Taken.read(partial), pending=event.kind == migrations.TRANSITION))
        elif found and event.kind == migrations.TRANSITION:
            found[-1] = dataclasses.replace(found[-1], pending=False)
        elif found and event.kind == WIDENED:
            found[-1] = dataclasses.replace(found[-1], widened=True)
    return found


def next_number(found: Sequence[Taken]) -> int:
    """Return the number of the next rollback, of whatever scope: it names the place of evidence."""
    return max((one.number for one in found), default=0) + 1


def places(loaded: desks.Loaded, found: Sequence[Taken]) -> list[tuple[str, Sequence[catalog.TableName]]]:
    """Return the places of evidence that they filled, with the names of what was set aside there."""
    return [(rollback.evidence_name(loaded.id, one.number), one.kept) for one in found if one.kept]


def option(names: Sequence[str]) -> str:
    """Return the words of a command line that name these tables, as a shell takes them."""
    if any("," in n for n in names):  # a word that is a table's name is not cut at its commas
        return " ".join(f"--tables {shlex.quote(n)}" for n in names)
    return f"--tables {shlex.quote(','.join(names))}"


def go_on(loaded: desks.Loaded, found: Sequence[Taken]) -> str:
    """Return the command that goes on with a rollback of some tables that was cut off; "" where there is none."""
    if loaded.status is not State.ROLLING_BACK or not found or not found[-1].pending or found[-1].widened:
        return ""
    return f"sensei migrations rollback {loaded.id} {option(found[-1].asked)}"


def away(loaded: desks.Loaded, found: Sequence[Taken]) -> set[str]:
    """Return the tables that are taken back now, and that no resume has taken up again."""
    if not found:
        return set()
    journaled = loaded.desk.store.steps(loaded.id)

    def gone(table: str) -> bool:
        record = journaled.get(_first_step(loaded, table))
        return record is None or record.state is StepState.UNDONE

    return {table for one in found for table in one.tables if gone(table)}


def _first_step(loaded: desks.Loaded, table: str) -> str:
    """Return the step that a table begins with: one that rows are added to is there already."""
    kind = "create_table" if loaded.plan.table(table).append is None else "create_stage"
    return f"{kind}:{table}"


def journal(loaded: desks.Loaded, one: Taken, facts: Mapping[str, Any], *, steps: bool = True) -> None:
    """Note what was taken back, and what of it is kept; each part is looked at by itself, as it may be there."""
    desk = loaded.desk
    journaled = desk.store.steps(loaded.id) if steps else {}
    undone = {
        step.id: {"object": step.object}
        for step in reversed(partial.again(loaded.plan, set(one.tables)))
        if step.id in journaled and journaled[step.id].state is not StepState.UNDONE
    }
    place = rollback.evidence_name(loaded.id, one.number)
    known = {(e.get("object"), e.get("place")) for e in desk.store.evidence(loaded.id)}
    kept = [(kind, f"{schema}.{name}" if schema else name) for kind, schema, name in facts["kept"]]
    enter(loaded, undone, [entry(loaded, kind, full, place) for kind, full in kept if (full, place) not in known])


def entry(loaded: desks.Loaded, kind: str, full: str, place: str) -> dict[str, Any]:
    """Return the entry of an object that is set aside in a place on the target."""
    return {"object": full, "kind": kind, "place": place, "connection": loaded.config.target.connection}


def enter(loaded: desks.Loaded, undone: Mapping[str, Mapping[str, Any]], kept: Sequence[Mapping[str, Any]]) -> None:
    """Journal that steps are undone, and enter what of them is kept, many in each transaction."""
    store, actor = loaded.desk.store, loaded.desk.actor
    for some in slices.of(undone.items(), slices.EVENTS):
        store.step_all(loaded.id, StepState.UNDONE, dict(some), actor)
    for items in slices.of(kept, slices.EVENTS):
        store.add_evidence_all(loaded.id, items, actor)


def widen(loaded: desks.Loaded, book: ledger.Ledger, session: base.Session) -> int:
    """Let a rollback of everything take over from one of some tables that was cut off; returns its number."""
    found = taken(loaded)
    if found and found[-1].pending:
        if not found[-1].widened:
            loaded.desk.store.append(loaded.id, WIDENED, {"number": found[-1].number}, loaded.desk.actor)
        facts = book.taken_back(session).get(found[-1].number) if book.exists(session) else None
        if facts is not None:
            journal(loaded, found[-1], facts)
    return next_number(found)


def recover(loaded: desks.Loaded, found: Mapping[int, Mapping[str, Any]], done: Collection[str]) -> None:
    """Enter in a new home's journal what the ledger knows of rollbacks of some tables; `done` are the steps it has."""
    store, known = loaded.desk.store, {one.number for one in taken(loaded)}
    for number, facts in sorted(found.items()):
        kept = tuple(catalog.TableName(schema, name) for _, schema, name in facts["kept"])
        one = Taken(number, tuple(facts["tables"]), tuple(facts["tables"]), keep_progress=False, kept=kept)
        if number not in known:
            store.append(loaded.id, RECOVERED, {"partial": one.data()}, loaded.desk.actor)
        journal(loaded, one, {"kept": facts["kept"]}, steps=False)
    if found and not any(one.settled for one in taken(loaded)):
        tables = {table for facts in found.values() for table in facts["tables"]}
        if all(_first_step(loaded, table) in done for table in tables):
            # A resume had taken them up again, and had settled before.
            store.append(loaded.id, SETTLED, {"tables": sorted(tables)}, loaded.desk.actor)
