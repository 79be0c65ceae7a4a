"""A workload gets the same answers from both sides, or is told in what they differ; what is missing is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ends
import fix_sensei
import moves
import servers

CHINOOK = """
-- name: albums of an artist
SELECT Title FROM Album JOIN Artist USING (ArtistId) WHERE Artist.Name = 'AC/DC' ORDER BY Title;
-- revenue by country
SELECT BillingCountry, SUM(Total) AS Revenue, COUNT(*) FROM Invoice
GROUP BY BillingCountry ORDER BY Revenue DESC, BillingCountry;
-- mean length; a comment with a semicolon
SELECT AVG(Milliseconds), MIN(UnitPrice), MAX(Bytes) FROM Track;
-- best customers
WITH spent AS (SELECT CustomerId, SUM(Total) AS Amount FROM Invoice GROUP BY CustomerId)
SELECT c.FirstName, c.LastName, s.Amount FROM spent s JOIN Customer c ON c.CustomerId = s.CustomerId
ORDER BY s.Amount DESC, c.CustomerId LIMIT 10;
-- ties at the end of a page
SELECT Name, Milliseconds FROM Track ORDER BY GenreId LIMIT 20;
-- long tracks
SELECT t.Name FROM Track t
WHERE t.Milliseconds > (SELECT AVG(u.Milliseconds) * 3 FROM Track u WHERE u.GenreId = t.GenreId)
ORDER BY t.TrackId;
-- a year's invoices
SELECT InvoiceId, InvoiceDate, Total FROM Invoice
WHERE InvoiceDate >= '2010-01-01' AND InvoiceDate < '2011-01-01' ORDER BY InvoiceDate, InvoiceId;
-- names; of all
SELECT FirstName, LastName FROM Customer UNION SELECT FirstName, LastName FROM Employee;
-- seconds
SELECT TrackId, Milliseconds / 1000 FROM Track WHERE TrackId < 40 ORDER BY TrackId;
-- everything
SELECT * FROM Invoice ORDER BY InvoiceId;
-- numbered
SELECT AlbumId, TrackId, ROW_NUMBER() OVER (PARTITION BY AlbumId ORDER BY TrackId) AS n FROM Track WHERE AlbumId < 9;
-- who reports to whom
SELECT e.LastName, m.LastName FROM Employee e LEFT JOIN Employee m ON m.EmployeeId = e.ReportsTo
ORDER BY e.ReportsTo, e.EmployeeId;
-- without composer
SELECT COUNT(*) FROM Track WHERE Composer IS NULL OR Composer = '';
-- written
UPDATE Track SET Name = 'x';
"""
REPLAYED = 13


def _snake(text: str) -> str:
    """Chinook's names as its PostgreSQL edition has them."""
    words = re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)*\b", text)
    for word in sorted(set(words) - {"Revenue", "Amount"}, key=len, reverse=True):
        snake = re.sub(r"(?<!^)([A-Z])", r"_\1", word).lower()
        text = re.sub(rf"\b{word}\b", snake, text)
    return text


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgres"), ("postgres", "mysql"), ("mysql", "sqlite"),
                                                ("postgres", "sqlite"), ("mysql", "postgres")])  # fmt: skip
def test_a_workload_over_a_clean_move_raises_no_alarm(
    sensei: fix_sensei.Sensei,
    pg_dataset: Callable[[str], servers.Database],
    sqlite_dataset: Callable[[str], Path],
    mysql_dataset: Callable[[str], servers.MysqlDatabase],
    maker: ends.Maker,
    source: str,
    target: str,
) -> None:
    load = {"sqlite": sqlite_dataset, "postgres": pg_dataset, "mysql": mysql_dataset}[source]
    here: ends.End = load("chinook")  # type: ignore[operator]
    there = maker(target)()
    (sensei.folder / "queries.sql").write_text(_snake(CHINOOK) if source == "postgres" else CHINOOK)
    move = moves.plan_move(sensei, here, there, validation={"workload": "queries.sql"})
    move.start()
    found = sensei("validations", "run", move.id, json=True).data
    wild = [f["detail"] for f in found["failures"] if f["facts"].get("class") != "noise"]
    assert [w for w in wild if "times as long" not in w] == []
    behavioral = found["perspectives"]["behavioral"]
    assert behavioral["facts"]["queries"] == REPLAYED
    (left,) = behavioral["facts"]["left"]
    assert "UPDATE" in left and "written" in left and "queries.sql:" in left
    assert behavioral["verdict"] in ("passed", "warning")


#: Run on the source; names differ in case and accents, and two of them only in that.
PEOPLE = """
CREATE TABLE people (id integer NOT NULL PRIMARY KEY, name varchar(40) NOT NULL, score numeric(12,4), team integer);
CREATE INDEX people_team ON people (team);
INSERT INTO people VALUES (1, 'ann', 1.2345, 1), (2, 'Ben', 2.5, 1), (3, 'cid', 3.75, 2), (4, 'ANN', 4.125, 2),
  (5, 'Zoe', 5, 3), (6, 'zed', 6.5, 3);
-- A pattern does not go to another engine by itself.
CREATE VIEW teams AS SELECT team, count(*) AS members FROM people WHERE name LIKE '%' GROUP BY team;
"""
WORKLOAD = """
-- by name
SELECT id FROM people ORDER BY name;
-- one name
SELECT id FROM people WHERE name = 'ann';
-- scores
SELECT id, score FROM people WHERE id < 4 ORDER BY id;
-- best
SELECT name FROM people WHERE id > 4 ORDER BY score;
-- teams
SELECT team, members FROM teams ORDER BY team;
-- team
SELECT id FROM people WHERE team = 77;
-- nonsense
SELECT no_such FROM people;
"""


@pytest.mark.parametrize(("source", "target"), [("mysql", "postgres"), ("sqlite", "mysql"), ("postgres", "sqlite")])
def test_each_difference_of_an_answer_is_called_by_its_class_and_each_missing_object_by_its_name(
    sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, source: str, target: str
) -> None:
    here = tmp_path / "people.db" if source == "sqlite" else maker(source)()
    ends.run(here, PEOPLE)
    many = ", ".join(f"({n}, 'x{n}', {n}, {n % 90})" for n in range(100, 3000))
    ends.run(here, f"INSERT INTO people VALUES {many}")
    if source == "mysql":
        # The server's default of most installations; what the test's own server is set to does not count.
        collated = "varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL"
        ends.run(here, f"ALTER TABLE people MODIFY name {collated}")
    elif source == "postgres":
        ends.run(here, "ANALYZE people; CREATE FUNCTION of_team(integer) RETURNS bigint LANGUAGE sql AS"
                       " 'SELECT count(*) FROM people WHERE team = $1'")  # fmt: skip
    there = maker(target)()
    (sensei.folder / "queries.sql").write_text(WORKLOAD)
    asked = {"workload": "queries.sql", "fidelity": "exact"}
    schema = "public" if target == "postgres" else None
    move = moves.plan_move(sensei, here, there, schema=schema, validation=asked)
    move.start()
    told = _run(move)
    assert told["missing teams"].startswith("warning None missing_stored_procedure: ")
    assert "teams" in told.pop("missing teams")
    if source == "postgres":
        assert "of_team" in told.pop("missing of_team")
    assert told.pop("nonsense").startswith("warning error different_answer: neither side answers")
    assert told.pop("teams").startswith("critical error missing_stored_procedure: ")
    if source == "mysql":
        assert set(told) == {"by name", "one name"}
        assert all(t.startswith("critical collation different_answer: ") for t in told.values())
        assert "2 rows on the source, 1 on the target" in told["one name"]
    elif target == "mysql":
        assert not told  # columns that compare by bytes arrive as such

    # The view is made by hand; then damage is done, one kind to each query.
    ends.run(there, "CREATE VIEW teams AS SELECT team, count(*) AS members FROM people GROUP BY team")
    ends.run(there, "UPDATE people SET score = 1.23 WHERE id = 1")
    ends.run(there, "UPDATE people SET score = 7 WHERE id = 5")
    ends.run(there, "UPDATE people SET team = 2 WHERE id = 2")
    ends.run(there, f"DROP INDEX people_team{' ON people' if target == 'mysql' else ''}")
    told = _run(move)
    assert told["scores"].startswith("critical precision transformation_bug: ")
    assert "1.2345" in told["scores"]
    assert told["best"].startswith("critical order transformation_bug: ")
    assert told["teams"].startswith("critical real transformation_bug: ")
    assert told["team"].startswith("warning plan different_execution_plan: ")
    assert "it has no index on" in told["team"] and "people_team" in told["team"]
    text = sensei("validations", "report", move.id, "--failures-only").stdout
    assert "Different execution plan → Tune target indexes" in text
    apart = sensei("validations", "divergence", move.id, json=True).data["queries"]
    assert {q["query"] for q in apart} == set(told) - {"missing of_team"}
    ends.run(here, "CREATE VIEW of_late AS SELECT id FROM people")
    ends.run(there, f"DROP TABLE people{' CASCADE' if target == 'postgres' else ''}")
    told = _run(move)
    assert told["scores"].startswith("critical error different_answer: the target refuses it")
    # The plan knew nothing of it, so nobody has agreed to go without.
    assert told["missing of_late"].startswith("critical None missing_stored_procedure: ")


def _run(move: moves.Move) -> dict[str, str]:
    """By query: severity, class, cause and words of what is told of it."""
    found = move.sensei("validations", "run", move.id, json=True, expect=4).data
    told = {}
    for f in found["failures"]:
        if f["perspective"] != "behavioral":
            continue
        facts = f["facts"]
        name = facts.get("query") or f"missing {facts['object'].rpartition('.')[2].partition('(')[0]}"
        words = f["detail"].partition(": ")[2].partition(": ")[2] or f["detail"]
        told[name] = f"{f['severity']} {facts.get('class')} {f['cause']}: {words}"
    return told


def test_what_the_operator_agreed_to_lack_and_noise_at_semantic_fidelity_fail_nothing(
    sensei: fix_sensei.Sensei, tmp_path: Path
) -> None:
    here = tmp_path / "people.db"
    ends.run(here, PEOPLE)
    ends.run(here, "CREATE TRIGGER no_zed BEFORE INSERT ON people WHEN new.name = 'zed' BEGIN SELECT 1; END")
    ends.run(here, "CREATE VIEW lately AS SELECT CURRENT_TIMESTAMP AS moment")
    (sensei.folder / "queries.sql").write_text("SELECT id, score FROM people ORDER BY id")
    asked = {
        "workload": "queries.sql",
        "fidelity": "semantic",
        "tolerances": {"missing_objects": ["trigger *", "lately"]},
    }
    move = moves.plan_move(sensei, here, tmp_path / "new.db", validation=asked)
    move.start()
    found = sensei("validations", "run", move.id, json=True).data
    assert found["failures"] == []
    assert found["perspectives"]["behavioral"]["facts"]["agreed"] == ["trigger no_zed", "view lately"]
    assert "2 missing ones are agreed to" in found["perspectives"]["behavioral"]["summary"]


def test_a_workload_that_is_not_there_is_said_when_the_plan_is_made_and_refused_before_a_state_moves(
    sensei: fix_sensei.Sensei, tmp_path: Path
) -> None:
    here = tmp_path / "people.db"
    ends.run(here, PEOPLE)
    file = sensei.write("w.yaml", {
        "name": "w", "connections": {"a": ends.url(here), "b": ends.url(tmp_path / "new.db")},
        "source": {"connection": "a"}, "target": {"connection": "b"}, "validation": {"workload": "gone.sql"},
    })  # fmt: skip
    made = sensei("migrations", "create", "--config", file, json=True)
    assert "gone.sql can't be read" in made.stderr and "w.yaml:" in made.stderr
    migration = made.data["id"]
    sensei("migrations", "start", migration)
    said = sensei("validations", "run", migration, json=True, expect=2).data["error"]
    assert "gone.sql can't be read: No such file" in said["message"] and "w.yaml:" in said["message"]
    assert sensei("migrations", "status", migration, json=True).data["status"] == "completed"


@pytest.fixture(params=["postgres", "mysql"])
def recorded(request: pytest.FixtureRequest, maker: ends.Maker) -> Iterator[ends.End]:
    """A source whose server keeps records of what runs on it."""
    if request.param == "mysql":
        there = maker("mysql")()
        ends.run(there, "SET GLOBAL log_output = 'TABLE'; TRUNCATE mysql.general_log; SET GLOBAL general_log = 1")
        yield there
        ends.run(there, "SET GLOBAL general_log = 0; TRUNCATE mysql.general_log; SET GLOBAL log_output = 'FILE'")
        return
    bindir = servers.find_postgres()
    if bindir is None or not list(bindir.parent.parent.parent.parent.glob(_STATISTICS)):
        pytest.skip("the PostgreSQL installation has no pg_stat_statements")
    with servers.PostgresServer({"shared_preload_libraries": "pg_stat_statements"}) as server:
        database = server.create_db()
        ends.run(database, "CREATE SCHEMA statistics; CREATE EXTENSION pg_stat_statements SCHEMA statistics")
        yield database


_STATISTICS = "share/postgresql/*/extension/pg_stat_statements.control"


def test_a_workload_is_taken_from_the_records_of_the_sources_server(
    sensei: fix_sensei.Sensei, recorded: ends.End, tmp_path: Path
) -> None:
    ends.run(recorded, PEOPLE)
    asked = {"workload": "server", "tolerances": {"missing_objects": ["*"]}}
    there = tmp_path / "new.db"
    move = moves.plan_move(sensei, recorded, there, source_options={"include_tables": ["people"]}, validation=asked)
    move.start()
    behavioral = sensei("validations", "run", move.id, json=True).data["perspectives"]["behavioral"]
    assert behavioral["facts"]["queries"] == 0, "nobody but Sensei has asked anything"

    for n in (1, 2, 3):
        ends.ask(recorded, f"SELECT name, score FROM people WHERE id = {n} LIMIT 5")
    ends.ask(recorded, "SELECT team, count(*) FROM people WHERE score > 2 GROUP BY team")
    ends.run(recorded, "CREATE TABLE another (x integer)")
    ends.ask(recorded, "SELECT x FROM another")
    ends.run(there, "UPDATE people SET name = 'changed'")
    found = sensei("validations", "run", move.id, json=True, expect=4).data
    behavioral = found["perspectives"]["behavioral"]["facts"]
    # PostgreSQL keeps one statement for the three, without its number.
    assert behavioral["queries"] == (2 if ends.engine(recorded) == "postgres" else 4)
    assert behavioral["left"] == []
    told = [f for f in found["failures"] if f["perspective"] == "behavioral"]
    assert {f["cause"] for f in told} == {"transformation_bug"}, [f["detail"] for f in told]
    assert all("changed" in f["detail"] for f in told)


def test_records_that_a_server_does_not_keep_are_a_failure_that_says_what_to_do(
    sensei: fix_sensei.Sensei, tmp_path: Path
) -> None:
    here = tmp_path / "people.db"
    ends.run(here, "CREATE TABLE people (id integer PRIMARY KEY)")
    move = moves.plan_move(sensei, here, tmp_path / "new.db", validation={"workload": "server"})
    move.start()
    found = sensei("validations", "run", move.id, json=True, expect=4).data
    (failure,) = found["failures"]
    assert (failure["perspective"], failure["severity"]) == ("behavioral", "critical")
    assert "SQLite keeps no records" in failure["detail"]
    assert failure["recommended_action"].startswith("name a file of queries under validation.workload, then: sensei")
    assert found["perspectives"]["performance"]["verdict"] == "not_asked_for"
