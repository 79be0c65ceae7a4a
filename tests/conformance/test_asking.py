"""What somebody else wrote is asked in sessions that the server keeps from writing, ends in time, and is explained."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

import pytest

import ends
import servers
from sensei import engines
from sensei.config import connections
from sensei.engines import asking, base

ROWS = 3000
_TABLES = """
CREATE TABLE teams (id integer NOT NULL PRIMARY KEY, name varchar(90));
CREATE TABLE players (id integer NOT NULL PRIMARY KEY, team integer, name varchar(90), score integer);
CREATE INDEX players_team ON players (team);
INSERT INTO players VALUES {rows};
INSERT INTO teams SELECT id, name FROM players WHERE id <= 500;
"""
_ANALYZE = {"postgres": "ANALYZE", "sqlite": "ANALYZE", "mysql": "ANALYZE TABLE teams, players"}
#: A routine that writes, behind a query that only seems to read.
_WRITES = {
    "postgres": "CREATE FUNCTION public.writes() RETURNS int LANGUAGE sql AS"
    " $$ INSERT INTO public.teams VALUES (9999, 'written') RETURNING 1 $$",
    "mysql": "CREATE FUNCTION writes() RETURNS int DETERMINISTIC MODIFIES SQL DATA BEGIN"
    " INSERT INTO teams VALUES (9999, 'written'); RETURN 1; END",
}
_LONG = "SELECT count(*) FROM players a, players b, players c WHERE a.score + b.score + c.score = 100"


@dataclass
class Asked:
    """An end with a session as validation opens it."""

    end: ends.End
    ask: asking.Ask
    session: base.Session

    def ways(self, sql: str) -> list[tuple[str, str, str]]:
        return [(a.name, a.way, a.index) for a in self.ask.accesses(self.session, sql)]


@pytest.fixture(params=ends.ENGINES)
def here(request: pytest.FixtureRequest, maker: ends.Maker) -> Iterator[Asked]:
    end = maker(request.param)()
    name = "'a name that is not short, so that the table has more than one page to be read'"
    rows = ", ".join(f"({n}, {n % 500}, {name}, {n % 7})" for n in range(1, ROWS + 1))
    ends.run(end, _TABLES.format(rows=rows))
    ends.run(end, _ANALYZE[request.param])
    with mock.patch.dict(os.environ, {servers.PASSWORD_ENV: servers.password()}):
        url = connections.expand(ends.url(end), os.environ)
    engine = engines.for_url(url)
    assert engine.ask is not None
    session = engine.connect(url, base.Purpose.SOURCE)
    schemas = {"postgres": ["public"], "mysql": [getattr(end, "name", "")]}.get(request.param, [])
    engine.ask.prepare(session, schemas, 1.0)
    yield Asked(end, engine.ask, session)
    session.close()


def test_answers_are_counted_refusals_told_and_what_takes_too_long_is_given_up(here: Asked) -> None:
    found = here.ask.answer(here.session, "SELECT id FROM players ORDER BY id", 10)
    assert (found.rows, found.count, found.error) == (tuple((n,) for n in range(1, 11)), ROWS, "")
    assert "no_such" in here.ask.answer(here.session, "SELECT no_such FROM players", 10).error
    assert "given up after 1 s" in here.ask.answer(here.session, _LONG, 10).error
    assert here.ask.time(here.session, _LONG, False) is None
    for is_large in (True, False):
        spent = here.ask.time(here.session, "SELECT id FROM players ORDER BY id", is_large)
        assert spent is not None and 0 < spent < 60
    # The session is as good as before.
    assert here.ask.answer(here.session, "SELECT count(*) FROM teams", 1).rows == ((500,),)


def test_the_server_itself_refuses_to_write(here: Asked) -> None:
    engine = ends.engine(here.end)
    if engine in _WRITES:
        ends.run(here.end, _WRITES[engine])
        assert here.ask.answer(here.session, "SELECT writes()", 10).error
    assert here.ask.answer(here.session, "INSERT INTO teams VALUES (9998, 'x')", 10).error
    assert ends.ask(here.end, "SELECT count(*) FROM teams") == [(500,)]


def test_plans_of_all_servers_have_one_shape(here: Asked) -> None:
    assert here.ways("SELECT name FROM players WHERE id = 77") in (
        [("players", "key", "PRIMARY")],
        [("players", "key", "")],
        [("players", "index", "players_pkey")],
    )
    assert here.ways("SELECT name FROM players WHERE team = 77") == [("players", "index", "players_team")]
    assert here.ways("SELECT name FROM players WHERE score = 3") == [("players", "scan", "")]
    joined = here.ways("SELECT t.name, p.name FROM teams t JOIN players p ON p.team = t.id WHERE t.id = 7")
    assert [(name, way != "scan") for name, way, _ in joined] == [("t", True), ("p", True)]
    assert joined[1][2] == "players_team"
