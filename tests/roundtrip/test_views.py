"""Views come along where both sides answer the same, and are listed with the reason where they do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

import ends
import fix_sensei
import moves
import servers

#: Each engine as a target that is done, taken back, done again and taken back again.
_TWICE = [("sqlite", "postgres"), ("postgres", "mysql"), ("mysql", "sqlite")]
PAIRS = [(s, t) for s in ends.ENGINES for t in ends.ENGINES]

_TABLES = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name {text} NOT NULL, limit_of INTEGER NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, total INTEGER NOT NULL,
  weight DOUBLE PRECISION NOT NULL);
INSERT INTO customers VALUES (1, 'Ann', 7), (2, 'bob', 9), (3, 'Zoé', 0);
INSERT INTO orders VALUES (1, 1, 10, 1.5), (2, 1, 5, 2.5), (3, 2, 1, 0.25);
CREATE VIEW rich AS SELECT id, name FROM customers WHERE limit_of > 5 AND name <> 'bob';
CREATE VIEW totals AS SELECT c.id AS customer, c.name, count(o.id) AS orders, coalesce(sum(o.total), 0) AS total
  FROM customers c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.id, c.name;
CREATE VIEW sizes AS SELECT id, CASE WHEN total >= 10 THEN 'large' ELSE 'small' END AS size FROM orders
  WHERE customer IN (SELECT id FROM customers WHERE limit_of >= 7);
CREATE VIEW unused AS SELECT id FROM orders WHERE total < 0;
CREATE VIEW patterns AS SELECT id FROM customers WHERE name LIKE 'a%';
CREATE VIEW today AS SELECT id, CURRENT_DATE AS day FROM customers;
CREATE VIEW over_rich AS SELECT r.id, t.total FROM rich r JOIN totals t ON t.customer = r.id;
CREATE VIEW over_patterns AS SELECT id FROM patterns;
"""


def _made(maker: ends.Maker, engine: str, more: str = "") -> ends.End:
    end = maker(engine)()
    text = {"sqlite": "TEXT", "postgres": "text", "mysql": "varchar(50) COLLATE utf8mb4_nopad_bin"}[engine]
    ends.run(end, _TABLES.format(text=text) + more)
    return end


def _planned(sensei: fix_sensei.Sensei, source: ends.End, target: ends.End, **more: Any) -> moves.Move:
    schema = "public" if ends.engine(target) == "postgres" else None
    return moves.plan_move(sensei, source, target, schema=schema, **more)


def _started(sensei: fix_sensei.Sensei, maker: ends.Maker, source: str, target: str) -> moves.Move:
    move = _planned(sensei, _made(maker, source), maker(target)())
    move.start()
    return move


def _views(end: ends.End) -> set[str]:
    sql = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'view'",
        "postgres": "SELECT viewname FROM pg_views WHERE schemaname = 'public'",
        "mysql": "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = database()",
    }[ends.engine(end)]
    return {str(name) for (name,) in ends.ask(end, sql)}


def _rows(end: ends.End, view: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(str(v) for v in row) for row in ends.ask(end, f"SELECT * FROM {view}"))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_views_answer_the_same_there_and_a_rollback_takes_them_back(
    source: str, target: str, sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = _made(maker, source), maker(target)()
    move = _planned(sensei, here, there)
    carried = {"rich", "totals", "sizes", "unused", "over_rich"}
    carried |= {"patterns", "over_patterns"} if source == target else set()
    left = {name.rpartition(".")[2]: reason for kind, name, reason in move.left() if kind == "view"}
    assert carried.isdisjoint(left) and carried | set(left) == {
        "rich", "totals", "sizes", "unused", "patterns", "today", "over_rich", "over_patterns",
    }  # fmt: skip
    assert "asks for the time" in left["today"]
    if source != target:
        assert "pattern" in left["patterns"] and "reads patterns" in left["over_patterns"]
    for turn in ("first", "again") if (source, target) in _TWICE else ("first",):
        if turn == "again":
            move = _planned(sensei, here, there, name=turn)
        move.start()
        assert _views(there) == carried
        for view in carried:
            assert _rows(there, view) == _rows(here, view), view
        found = {v["view"].rpartition(".")[2]: v for v in move.status()["views"]}
        assert {v["state"] for v in found.values()} == {"made"} and set(found) == carried
        assert "no rows" in found["unused"]["says"] and found["totals"]["says"].startswith("3 rows, the same")
        assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
        assert _views(there) == set()


#: Source, target, a view whose words mean the same on both sides, and what is there all the same.
_OTHERWISE = [
    ("postgres", "mysql", "SELECT id, born FROM extra", "2 rows on the source and 1 on the target"),
    ("sqlite", "mysql", "SELECT id, born FROM extra", "2 rows on the source and 1 on the target"),
    ("mysql", "postgres", "SELECT id, born FROM extra", "2 rows on the source and 1 on the target"),
    ("sqlite", "postgres", "SELECT customer, id, sum(total) AS t FROM orders GROUP BY customer", "does not take it"),
]
#: A table with a row that the other side does not hold, so that it goes to quarantine.
_EXTRA = {
    "postgres": "CREATE TABLE extra (id int PRIMARY KEY, born date);"
    " INSERT INTO extra VALUES (1, 'infinity'), (2, NULL);",
    "sqlite": "CREATE TABLE extra (id INTEGER PRIMARY KEY, born DATE);"
    " INSERT INTO extra VALUES (1, 'never'), (2, NULL);",
    "mysql": "CREATE TABLE extra (id int PRIMARY KEY, born date);"
    " SET STATEMENT sql_mode = '' FOR INSERT INTO extra VALUES (1, '0000-00-00'), (2, NULL);",
}


@pytest.mark.parametrize(("source", "target", "query", "why"), _OTHERWISE)
def test_a_view_that_would_answer_otherwise_is_taken_back_and_named_and_stops_nothing(
    source: str, target: str, query: str, why: str, sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = (
        _made(
            maker, source, f"{_EXTRA[source]} CREATE VIEW other AS {query}; CREATE VIEW onto AS SELECT id FROM other;"
        ),
        maker(target)(),
    )
    move = _planned(sensei, here, there)
    assert "other" not in {name.rpartition(".")[2] for _, name, _ in move.left()}
    started = move.start()
    assert "2 views did not answer there as on the source, and were left behind" in started.stdout, started
    assert _views(there) == {"rich", "totals", "sizes", "unused", "over_rich"}
    found = {v["view"].rpartition(".")[2]: v for v in move.status()["views"]}
    assert found["other"]["state"] == found["onto"]["state"] == "left"
    assert why in found["other"]["says"] and "onto" not in _views(there), found
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


@pytest.mark.parametrize(("source", "target"), _TWICE)
def test_views_go_and_come_with_the_tables_that_they_read(
    source: str, target: str, sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    move = _started(sensei, maker, source, target)
    here, there = move.source, move.target
    sensei("migrations", "rollback", move.id, "--tables", "orders", "--keep-progress", "--yes")
    assert _views(there) == {"rich"}, "over_rich reads it through totals"
    assert {v["state"] for v in move.status()["views"]} == {"made", "taken back"}
    move.resume()
    assert _views(there) == {"rich", "totals", "sizes", "unused", "over_rich"}
    assert _rows(there, "totals") == _rows(here, "totals")
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert _views(there) == set()


@pytest.mark.parametrize(("source", "target"), _TWICE)
def test_the_script_takes_views_back_and_what_others_built_on_one_stops_the_rollback_by_name(
    source: str, target: str, sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    move = _started(sensei, maker, source, target)
    there = move.target
    ends.run(there, "CREATE VIEW theirs AS SELECT customer FROM totals")
    refused = move.rollback(expect=3)
    assert "theirs" in refused.data["error"]["message"] and "totals" not in refused.data["error"]["message"], refused
    assert _views(there) == {"rich", "totals", "sizes", "unused", "over_rich", "theirs"}
    ends.run(there, "DROP VIEW theirs")
    ends.client(there, move.script())
    assert _views(there) == set()
    sensei("migrations", "recover", "target", expect=None)
    assert move.verify()["rollback_verification"] == moves.LINES


def test_a_view_follows_a_table_that_is_configured_anew(sensei: fix_sensei.Sensei, maker: ends.Maker) -> None:
    move = _started(sensei, maker, "sqlite", "postgres")
    here, there = move.source, move.target
    sensei("migrations", "rollback", move.id, "--tables", "orders", "--keep-progress", "--yes")
    told = json.loads((sensei.folder / "move.yaml").read_text())
    told["tables"] = {"orders": {"target": "purchases", "columns": {"total": {"target": "sum of it"}}}}
    sensei("migrations", "resume", move.id, "--config", sensei.write("other.yaml", told))
    assert _views(there) == {"rich", "totals", "sizes", "unused", "over_rich"}
    assert _rows(there, "totals") == _rows(here, "totals")
    assert "purchases" in str(ends.ask(there, "SELECT pg_get_viewdef('totals'::regclass)"))
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


def test_an_account_that_may_not_make_views_migrates_all_the_same(
    sensei: fix_sensei.Sensei, maker: ends.Maker, mysql_server: servers.MysqlServer
) -> None:
    here, there = _made(maker, "sqlite"), maker("mysql")()
    assert isinstance(there, servers.MysqlDatabase)
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES"
    user = mysql_server.create_user(f"{rights} ON `{there.name}`.*", f"{rights} ON `sensei\\_evidence\\_%`.*")
    told = {
        "name": "views",
        "connections": {"from": moves.url(here), "to": mysql_server.url(there.name, user)},
        "source": {"connection": "from"},
        "target": {"connection": "to"},
    }
    made = sensei("migrations", "create", "--config", sensei.write("views.yaml", told), json=True).data["id"]
    started = sensei("migrations", "start", made)
    assert "5 views did not answer there" in started.stdout and "CREATE VIEW command denied" in started.stderr
    assert _views(there) == set()
    proven = sensei("migrations", "rollback", made, "--full", "--yes", "--verify", json=True).data
    assert proven["rollback_verification"] == moves.LINES


_DIFFERENT = {
    "avg(total)": "AVG", "total / 4": "DIV", "round(weight)": "ROUND", "upper(name)": "UPPER",
    "CAST(weight AS INTEGER)": "convert", "max(name)": "least or the greatest", "concat(name, 'x')": "CONCAT",
    "sum(total) OVER (ORDER BY o.id)": "WINDOW", "substr(name, -2)": "begins", "weight || name": "not surely one",
    "CASE WHEN name > 'b' THEN 1 ELSE 0 END": "are sorted", "extract(year FROM now())": "time",
}  # fmt: skip


def test_words_that_rows_may_not_show_to_differ_are_left_with_the_reason(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = _made(maker, "postgres"), maker("sqlite")()
    for n, word in enumerate(_DIFFERENT):
        grouped = " GROUP BY 1" if word.startswith(("avg", "max")) else ""
        text = word if "||" not in word else "CAST(weight AS text) || name"
        both = "orders o JOIN customers c ON c.id = o.customer"
        ends.run(here, f"CREATE VIEW d{n} AS SELECT o.id, {text} AS x FROM {both}{grouped}")
    move = _planned(sensei, here, there)
    left = {name.rpartition(".")[2]: reason for kind, name, reason in move.left() if kind == "view"}
    for n, (word, reason) in enumerate(_DIFFERENT.items()):
        assert reason in left[f"d{n}"] or "convert" in left[f"d{n}"], (word, left[f"d{n}"])
