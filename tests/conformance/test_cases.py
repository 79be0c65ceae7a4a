"""Databases that broke other tools: each table ends as the same, refused or announced; none is silently different."""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import datasets
import ends
import fidelity
import fix_sensei
import moves
import schema_facts
import servers
import servers_mysql

CASES = datasets.DATA / "cases"
#: Where `make fidelity` collects how tables ended. Then sample databases go the same ways: test_datasets asks more of
#: them, so that they need not here.
COLLECT = os.environ.get("SENSEI_FIDELITY")
_FORMS = {"postgres.sql": "postgres", "mariadb.sql": "mysql", "sqlite.db": "sqlite"}
FOUND = {
    folder.name: [next(e for form, e in _FORMS.items() if any(folder.glob(f"{form}*")))] for folder in CASES.iterdir()
}
SAMPLES = {
    "chinook": ["mysql", "postgres", "sqlite"],
    "sakila": ["mysql"],
    "pagila": ["postgres"],
    "adventureworks": ["postgres"],
}
WAYS = [
    (case, engine, to)
    for case, engines in sorted((FOUND | (SAMPLES if COLLECT else {})).items())
    for engine in engines
    for to in ends.ENGINES
    if to != engine
]
Load = Callable[[str, str], moves.End]


def _raw(case: str) -> bytes:
    (path,) = [p for form in _FORMS for p in (CASES / case).glob(f"{form}*")]
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


@pytest.fixture
def load(request: pytest.FixtureRequest, maker: ends.Maker) -> Load:
    """``load("chinook", "sqlite")``: a fresh database with that case in it."""

    def made(case: str, engine: str) -> moves.End:
        if case in SAMPLES:
            name = {"postgres": "pg_dataset", "sqlite": "sqlite_dataset", "mysql": "mysql_dataset"}[engine]
            sample: moves.End = request.getfixturevalue(name)(case)
            return sample
        end = maker(engine)()
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

    return made


@pytest.mark.parametrize(("case", "engine", "to"), WAYS, ids=[f"{c}-{e}-{t}" for c, e, t in WAYS])
def test_no_table_of_a_database_that_broke_others_is_silently_different_there_or_at_home(
    sensei: fix_sensei.Sensei, maker: ends.Maker, load: Load, case: str, engine: str, to: str
) -> None:
    there, home = fidelity.Ended(), fidelity.Ended()
    ended = {"case": case, "engine": engine, "to": to, "crashed": True}
    try:
        _there_and_home(sensei, maker, load(case, engine), engine, to, there, home)
        ended["crashed"] = False
    finally:
        if COLLECT:
            said = {**ended, "there": there.counts(), "home": home.counts(), "refused": there.refused | home.refused}
            Path(COLLECT, f"{case}-{engine}-{to}.json").write_text(json.dumps(said), encoding="utf-8")
    assert (there.silent, home.silent) == ({}, {})


def _there_and_home(
    sensei: fix_sensei.Sensei,
    maker: ends.Maker,
    source: moves.End,
    engine: str,
    to: str,
    there: fidelity.Ended,
    home: fidelity.Ended,
) -> None:
    away = maker(to)()
    tables = schema_facts.tables(source, None)
    assert tables
    how: dict[str, object] = {"schema": "public"} if (engine, to) == ("mysql", "postgres") else {}
    if to == "sqlite" and (clashing := fidelity.clashing(tables)):
        how["tables"] = clashing
    move = fidelity.plan(sensei, source, away, "there", **how)
    fidelity.run(source, move, there, tables)

    schemas = sorted({schema for schema, _ in tables})
    # Databases of MariaDB become schemas again; in a file all tables stand together, and those of one schema go home.
    apart = to == "mysql" and len(schemas) > 1
    if len(schemas) == 1 or apart:
        way: dict[str, object] = {}
        if apart:
            way["schemas"] = [s for s in schemas if any(s == t[0] and fidelity.full(t) not in there.refused
                                                        for t in tables)]  # fmt: skip
        elif engine == "postgres":
            way["schema"] = schemas[0]
        back = fidelity.plan(sensei, away, maker(engine)(), "home", **way)
        at_home = [(t, (t[0] if engine == "postgres" else "", t[1])) for t in tables]
        fidelity.go_home(move, back, there, home, at_home)
        assert back.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
