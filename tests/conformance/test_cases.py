"""Databases that broke other tools: each table ends as the same, refused or announced; none is silently different."""

from __future__ import annotations

import dataclasses
import lzma
from pathlib import Path

import pytest

import datasets
import ends
import fix_sensei
import moves
import reader
import schema_facts
import servers
import servers_mysql

CASES = datasets.DATA / "cases"
_FORMS = {"postgres.sql": "postgres", "mariadb.sql": "mysql", "sqlite.db": "sqlite"}
FOUND = {
    folder.name: next(e for form, e in _FORMS.items() if any(folder.glob(f"{form}*"))) for folder in CASES.iterdir()
}
WAYS = [(case, engine, to) for case, engine in sorted(FOUND.items()) for to in ends.ENGINES if to != engine]


@dataclasses.dataclass
class Ended:
    """How the tables of one move ended; a table is in one of these."""

    same: list[str] = dataclasses.field(default_factory=list)
    refused: dict[str, str] = dataclasses.field(
        default_factory=dict
    )  #: stayed behind whole, by name and with the reason
    announced: dict[str, str] = dataclasses.field(
        default_factory=dict
    )  #: rows in quarantine, or columns agreed to be lossy
    silent: dict[str, list[str]] = dataclasses.field(default_factory=dict)


def _raw(case: str) -> bytes:
    (path,) = [p for form in _FORMS for p in (CASES / case).glob(f"{form}*")]
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def _load(case: str, maker: ends.Maker) -> moves.End:
    end = maker(FOUND[case])()
    if isinstance(end, Path):
        end.write_bytes(_raw(case))
    elif isinstance(end, servers.MysqlDatabase):
        script = end.server.folder / f"{end.name}.sql"
        try:
            script.write_bytes(servers_mysql.PREAMBLE.encode() + _raw(case))
            end.mariadb(script)
        finally:
            script.unlink()
    else:
        end.psql(_raw(case).decode())
    return end


def _plan(sensei: fix_sensei.Sensei, source: moves.End, target: moves.End, name: str, **how: object) -> moves.Move:
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


def _run(source: moves.End, move: moves.Move, ended: Ended, tables: list[tuple[str, str]]) -> None:
    """Carry it out, and hold every table of the source against what is there."""
    move.start()
    places = {c["table"]: _name(c["target_table"]) for c in move.plan["columns"]}
    left = {name: reason for kind, name, reason in move.left() if kind == "table"}
    lossy = {c["table"] for c in move.plan["columns"] if "lossy" in (c["there"], c["back"])}
    midnight = {r["table"] for r in move.plan["risks"] if "midnight" in r["reason"]}
    waiting = {t["name"]: t["rows_quarantined"] for t in move.status()["progress"]["tables"]}
    for table in tables:
        name = ".".join(p for p in table if p)
        reason = left.get(name) or left.get(table[1])
        if reason is not None:
            ended.refused[name] = reason
            continue
        target, there = _where(move.target, places[name])
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


def _where(end: moves.End, there: tuple[str, str]) -> tuple[moves.End, tuple[str, str]]:
    """Return what the reader opens, and the table in it: for MariaDB a schema is a database of the server."""
    if isinstance(end, servers.MysqlDatabase) and there[0]:
        return dataclasses.replace(end, name=there[0]), ("", there[1])
    return end, there


def _name(said: str) -> tuple[str, str]:
    schema, _, name = said.rpartition(".")
    return (schema, name)


def _only_missing(
    source: moves.End, table: tuple[str, str], target: moves.End, there: tuple[str, str], rejected: int
) -> bool:
    """Tell whether all that lacks is as many rows as are in quarantine."""

    def count(end: moves.End, name: tuple[str, str]) -> int:
        full = ".".join(ends.quote(end, p) for p in name if p)
        return int(ends.ask(end, f"SELECT count(*) FROM {full}")[0][0])

    differences = reader.compare_tables(source, table, target, there, limit=10_000)
    strange = [d for d in differences if "rows in the source" not in d and "only in the source" not in d]
    return not strange and count(source, table) == count(target, there) + rejected


def _clashing(tables: list[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Return other names for tables of one name in several schemas, where the target has no schemas."""
    names = [name for _, name in tables]
    return {f"{s}.{t}": {"target": f"{s}__{t}"} for s, t in tables if names.count(t) > 1}


@pytest.mark.parametrize(("case", "engine", "to"), WAYS, ids=[f"{c}-{t}" for c, _, t in WAYS])
def test_no_table_of_a_database_that_broke_others_is_silently_different_there_or_at_home(
    sensei: fix_sensei.Sensei, maker: ends.Maker, case: str, engine: str, to: str
) -> None:
    source, away = _load(case, maker), maker(to)()
    tables = schema_facts.tables(source, None)
    how: dict[str, object] = {"schema": "public"} if (engine, to) == ("mysql", "postgres") else {}
    if to == "sqlite" and (clashing := _clashing(tables)):
        how["tables"] = clashing
    there = _plan(sensei, source, away, "there", **how)
    ended = Ended()
    _run(source, there, ended, tables)
    assert ended.silent == {}

    if len({schema for schema, _ in tables}) == 1:
        home = maker(engine)()
        back = _plan(sensei, away, home, "home", **({"schema": tables[0][0]} if engine == "postgres" else {}))
        back.start()
        missing = _with_quarantine(there)
        rejected = _with_quarantine(back)
        told = {
            _name(c["target_table"])[1]
            for c in back.plan["columns"]
            if "lossy" in (c["there"], c["back"]) or c["table"] in rejected
        }
        known = {".".join(p for p in t if p): t for t in tables}
        for name in (*ended.same, *ended.announced):
            at_home = (known[name][0] if engine == "postgres" else "", known[name][1])
            differences = reader.compare_tables(source, known[name], home, at_home)
            said = name in ended.announced or name in missing or at_home[1] in told
            assert not differences or said, f"{name}: {differences}"
        assert back.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert there.rollback("--verify").data["rollback_verification"] == moves.LINES


def _with_quarantine(move: moves.Move) -> set[str]:
    return {t["name"] for t in move.status()["progress"]["tables"] if t["rows_quarantined"]}
