"""Judges how each table of a migration ended: the same, refused or announced by the plan, or silently different."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import ends
import fix_sensei
import moves
import reader
import servers

Table = tuple[str, str]


@dataclasses.dataclass
class Ended:
    """How the tables of one move ended; a table is in one of these."""

    same: list[str] = dataclasses.field(default_factory=list)
    #: Stayed behind whole, by name and with the reason.
    refused: dict[str, str] = dataclasses.field(default_factory=dict)
    #: Rows in quarantine, or columns agreed to be lossy.
    announced: dict[str, str] = dataclasses.field(default_factory=dict)
    silent: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        return {f.name: len(getattr(self, f.name)) for f in dataclasses.fields(self)}


def plan(sensei: fix_sensei.Sensei, source: moves.End, target: moves.End, name: str, **how: object) -> moves.Move:
    """Plan; agree to every lossy column that the plan names."""
    move = moves.plan_move(sensei, source, target, name=name, **how)  # type: ignore[arg-type]
    lossy = [f"{c['table']}.{c['column']}" for c in move.plan["columns"] if "lossy" in (c["there"], c["back"])]
    if lossy:
        refusal = sensei("migrations", "start", move.id, json=True, expect=3)
        assert "accept_lossy" in refusal.stdout + refusal.stderr
        sensei("migrations", "cancel", move.id, "--reason", "to agree to what is lossy")
        agreed = {"accept_lossy": lossy}
        move = moves.plan_move(sensei, source, target, name=f"{name}-agreed", options=agreed, **how)  # type: ignore[arg-type]
    return move


def run(source: moves.End, move: moves.Move, ended: Ended, tables: Iterable[Table]) -> None:
    """Carry it out, and hold every table of the source against what is there."""
    move.start()
    places = {c["table"]: named(c["target_table"]) for c in move.plan["columns"]}
    left = {name: reason for kind, name, reason in move.left() if kind == "table"}
    lossy = {c["table"] for c in move.plan["columns"] if "lossy" in (c["there"], c["back"])}
    midnight = {r["table"] for r in move.plan["risks"] if "midnight" in r["reason"]}
    waiting = {t["name"]: t["rows_quarantined"] for t in move.status()["progress"]["tables"]}
    for table in tables:
        name = full(table)
        reason = left.get(name) or left.get(table[1])
        if reason is not None:
            ended.refused[name] = reason
            continue
        target, there = where(move.target, places[name])
        differences = reader.compare_tables(source, table, target, there)
        rejected = waiting.get(name, waiting.get(table[1], 0))
        if not differences:
            ended.same.append(name)
        elif rejected and _only_missing(source, table, target, there, rejected):
            ended.announced[name] = f"{rejected} rows in quarantine"
        elif name in midnight:
            ended.announced[name] = "days alone that become midnight"
        elif name in lossy:
            ended.announced[name] = "columns agreed to be lossy"
        else:
            ended.silent[name] = differences


def where(end: moves.End, there: Table) -> tuple[moves.End, tuple[str, str]]:
    """Return what the reader opens, and the table in it: for MariaDB a schema is a database of the server."""
    if isinstance(end, servers.MysqlDatabase) and there[0]:
        return dataclasses.replace(end, name=there[0]), ("", there[1])
    return end, there


def named(said: str) -> tuple[str, str]:
    schema, _, name = said.rpartition(".")
    return (schema, name)


def _only_missing(source: moves.End, table: Table, target: moves.End, there: Table, rejected: int) -> bool:
    """Tell whether all that lacks is as many rows as are in quarantine."""

    def count(end: moves.End, name: Table) -> int:
        full = ".".join(ends.quote(end, p) for p in name if p)
        return int(ends.ask(end, f"SELECT count(*) FROM {full}")[0][0])

    differences = reader.compare_tables(source, table, target, there, limit=10_000)
    strange = [d for d in differences if "rows in the source" not in d and "only in the source" not in d]
    return not strange and count(source, table) == count(target, there) + rejected


def clashing(tables: list[Table]) -> dict[str, dict[str, str]]:
    """Return other names for tables of one name in several schemas, where the target has no schemas."""
    names = [name for _, name in tables]
    return {f"{s}.{t}": {"target": f"{s}__{t}"} for s, t in tables if names.count(t) > 1}


def go_home(
    there: moves.Move, back: moves.Move, ended: Ended, found: Ended, tables: Iterable[tuple[Table, Table]]
) -> None:
    """Carry out the way back and hold what is at home against the first source; ``tables``: (at first, at home).

    What a plan of either way announced of a table is announced; a table that stayed behind on the way there is none
    of the way back.
    """
    back.start()
    missing, rejected = with_quarantine(there), with_quarantine(back)
    told = {
        named(c["target_table"])[1]
        for c in back.plan["columns"]
        if "lossy" in (c["there"], c["back"]) or c["table"] in rejected
    }
    left = {named(name)[1]: reason for kind, name, reason in back.left() if kind == "table"}
    for table, at_home in tables:
        name = full(table)
        if name in ended.refused:
            continue
        if at_home[1] in left:
            found.refused[name] = left[at_home[1]]
            continue
        differences = reader.compare_tables(there.source, table, back.target, at_home)
        if not differences:
            found.same.append(name)
        elif name in ended.announced or name in missing or at_home[1] in told:
            found.announced[name] = ended.announced.get(name, "rows in quarantine, or columns agreed to be lossy")
        else:
            found.silent[name] = differences


def full(table: Table) -> str:
    """The table as plans name it."""
    return ".".join(p for p in table if p)


def with_quarantine(move: moves.Move) -> set[str]:
    return {t["name"] for t in move.status()["progress"]["tables"] if t["rows_quarantined"]}
