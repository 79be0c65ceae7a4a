"""What is slower on the target is ranked and explained by its execution plan, and takes nothing back."""

from __future__ import annotations

import pytest

import ends
import fix_sensei
import moves
import servers
from sensei.validation import performance

ROWS = 60_000
WORKLOAD = """
-- one team
SELECT id, name FROM players WHERE team = 777 ORDER BY id;
-- one player
SELECT name FROM players WHERE id = 4711;
-- all
SELECT count(*) FROM players;
"""


def _players(sensei: fix_sensei.Sensei, here: ends.End, there: ends.End) -> moves.Move:
    """Move players, found by their team through an index, and have a workload that asks for a team."""
    ends.run(here, "CREATE TABLE players (id integer NOT NULL PRIMARY KEY, name varchar(200), team integer)")
    ends.run(here, "CREATE INDEX players_team ON players (team)")
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})"
    text = "substr('a name that makes a row as wide as rows are, and a table as large as tables are', 1, 80)"
    ends.run(here, f"INSERT INTO players {numbers} SELECT i, {text}, i % 3000 FROM n")
    if isinstance(here, servers.Database):
        ends.run(here, "ANALYZE players")
    (sensei.folder / "queries.sql").write_text(WORKLOAD)
    # Any query may be as slow as it likes, but one that reads 60,000 rows in the place of 20.
    asked = {"workload": "queries.sql", "tolerances": {"slower": 5, "slower_by": "1ms"}}
    move = moves.plan_move(sensei, here, there, validation=asked)
    move.start()
    return move


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgres"), ("postgres", "mysql")])
def test_a_query_that_lost_its_index_is_slower_says_which_and_fails_no_validation(
    sensei: fix_sensei.Sensei, maker: ends.Maker, source: str, target: str
) -> None:
    here, there = maker(source)(), maker(target)()
    move = _players(sensei, here, there)
    ends.run(there, f"DROP INDEX players_team{' ON players' if target == 'mysql' else ''}")
    # Structure fails, as an index of the plan is gone; a slower query alone would not.
    found = sensei("validations", "run", move.id, json=True, expect=4).data
    assert {f["perspective"] for f in found["failures"] if f["severity"] == "critical"} == {"structural"}
    slower = {f["facts"]["query"]: f for f in found["failures"] if f["perspective"] == "performance"}
    failure = slower["one team"]
    assert (failure["severity"], failure["cause"]) == ("warning", "slower")
    assert failure["recommended_action"].startswith("Optimize and revalidate (don't rollback)")
    assert "players_team" in failure["detail"] and "it has no index on" in failure["detail"]
    timed = found["perspectives"]["performance"]["facts"]["queries"]
    assert {t["query"] for t in timed} == {"one team", "one player", "all"}
    assert [t["ratio"] for t in timed] == sorted((t["ratio"] for t in timed), reverse=True)
    assert all(t["source_p50_ms"] <= t["source_p95_ms"] and 3 <= t["runs"] <= 11 for t in timed)
    assert found["perspectives"]["performance"]["verdict"] == "warning"
    plan = next(f for f in found["failures"] if f["facts"].get("class") == "plan")
    assert (plan["perspective"], plan["severity"], plan["cause"]) == (
        "behavioral", "warning", "different_execution_plan",
    )  # fmt: skip
    shown = sensei("validations", "report", move.id, "--failures-only").stdout
    assert "Performance issue" in shown
    sensei("validations", "report", move.id, "--export", "report.html")
    page = (sensei.folder / "report.html").read_text()
    assert "Median time of a query" in page and "one team, target" in page

    columns = "(team)"
    ends.run(there, f"CREATE INDEX players_team ON players {columns}")
    found = sensei("validations", "run", move.id, json=True).data
    assert found["status"] == "validated"
    assert not [f for f in found["failures"] if f["facts"].get("query") == "one team"]


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgres"), ("postgres", "mysql")])
def test_an_index_that_is_there_and_not_used_is_told_from_one_that_is_missing(
    sensei: fix_sensei.Sensei, maker: ends.Maker, source: str, target: str
) -> None:
    here, there = maker(source)(), maker(target)()
    move = _players(sensei, here, there)
    # What takes an index from the planner and leaves it in the catalog.
    if isinstance(there, servers.MysqlDatabase):
        ends.run(there, "ALTER TABLE players ALTER INDEX players_team IGNORED")
    elif isinstance(there, servers.Database):
        for way in ("indexscan", "bitmapscan", "indexonlyscan"):
            ends.run(there, f'ALTER DATABASE "{there.name}" SET enable_{way} = off')
    found = sensei("validations", "run", move.id, json=True).data
    slower = {f["facts"]["query"]: f for f in found["failures"] if f["perspective"] == "performance"}
    says = slower["one team"]["detail"]
    assert "though it has an index on" in says and "as players_team on the source" in says
    assert slower["one team"]["severity"] == "warning"
    assert found["status"] == "validated", "what is slower takes nothing back"


def test_a_query_is_slower_only_where_its_usual_and_its_best_time_are_and_by_more_than_was_agreed() -> None:
    def judged(here: list[float], there: list[float], slower: float = 2.0, by: float = 20.0) -> bool:
        return bool(performance._judged((here, there), slower, by)["is_slower"])

    assert judged([10, 10, 11], [40, 41, 90])
    assert not judged([10, 10, 11], [19, 19, 19])
    assert not judged([10, 10, 11], [25, 25, 25]), "by 15 ms"
    assert not judged([10, 10, 11], [10, 90, 90]), "once it was as fast: a neighbour was busy"
    assert not judged([0.1, 0.1], [9, 9]), "ninety times nothing"
    assert performance.quantile([5, 1, 4, 2, 3], 0.5) == 3
    assert performance.quantile([5, 1, 4, 2, 3], 0.95) == 5
    assert performance.quantile([7.0], 0.95) == 7
