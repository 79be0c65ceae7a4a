"""Two servers' answers are compared by value, and what differs is called by its name: without a server."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sensei import catalog, errors, queries
from sensei.catalog import types
from sensei.validation import answers, asked, questions, scope, workload

D = Decimal
UTC = datetime.UTC


def _kind(here: list[Any], there: list[Any], keys: tuple[int, ...] | None = None, **how: Any) -> str:
    limited = how.pop("limited", False)
    hidden = how.pop("hidden", 0)
    one, other = ([r if isinstance(r, tuple) else (r,) for r in rows] for rows in (here, there))
    return str(answers.compare(one, other, answers.Asked(keys, hidden, limited), **how).kind)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (D("1.50"), 1.5),
        (D("1.50"), "1.5"),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (datetime.datetime(2024, 1, 2), "2024-01-02 00:00:00.000000"),
        (datetime.datetime(2024, 1, 2, 3, 4, 5, 600000), "2024-01-02T03:04:05.6"),
        (datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "2024-01-02 04:04:05+01:00"),
        (datetime.time(3, 4), "03:04:00"),
        ({"b": 1, "a": [1.5, None]}, '{"a": [1.5, null], "b": 1}'),
        (b"\x00\xff", memoryview(b"\x00\xff")),
        (None, None),
        (float("nan"), float("nan")),
    ],
)
def test_one_value_in_the_ways_of_two_servers_is_one_value(one: Any, other: Any) -> None:
    assert _kind([one], [other]) == _kind([other], [one]) == "same"


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (0.1 + 0.2, 0.3, "noise"),
        (D("393599.2121"), D("393599.212103910933"), "noise"),
        (D("5.65194175"), 5.651941747572825, "noise"),
        (D("1.2345"), D("1.23"), "precision"),
        (D("1.2345"), 1.23, "precision"),
        (D("2.675"), D("2.67"), "precision"),
        ("2024-01-01 10:00:00.250000", "2024-01-01 10:00:00", "precision"),
        (3, D("3.5"), "real"),
        (D("10.00"), D("10.02"), "real"),
        ("a", "A", "real"),
        ("", None, "real"),
        (0, None, "real"),
        ("2024-01-01 10:00:00", "2024-01-01 11:00:00", "real"),
        ("1e3", "1000", "real"),
    ],
)
def test_values_that_differ_are_told_by_how_much(one: Any, other: Any, kind: str) -> None:
    assert _kind([one], [other]) == _kind([other], [one]) == kind


def test_tolerances_are_kept_to() -> None:
    assert _kind([1.0], [1.001], relative=0.01) == "same"
    assert _kind([1.0], [1.1], relative=0.01) != "same"
    moments = ["2024-01-01 10:00:00"], ["2024-01-01 10:00:02"]
    assert (_kind(*moments, seconds=2), _kind(*moments, seconds=1)) == ("same", "real")


def test_order_counts_where_the_query_orders_and_only_between_what_it_tells_apart() -> None:
    rows = [("a", 1), ("b", 1), ("c", 2)]
    tied = [("b", 1), ("a", 1), ("c", 2)]
    moved = [("c", 2), ("a", 1), ("b", 1)]
    assert _kind(rows, moved) == "same"
    assert _kind(rows, tied, (1,)) == "same"
    assert _kind(rows, moved, (1,)) == "order"
    assert _kind(rows, tied, (0,)) == "order"
    # The order was asked by something that is not shown: other numbers there, but the same order.
    assert _kind([("a", 1), ("b", 2)], [("a", 5), ("b", 7)], (-1,), hidden=1) == "same"
    assert _kind([("a", 1), ("b", 2)], [("b", 1), ("a", 2)], (-1,), hidden=1) == "order"


def test_a_limit_may_cut_equal_rows_apart() -> None:
    assert _kind([("a", 1), ("b", 2)], [("a", 1), ("c", 2)], (1,), limited=True) == "same"
    assert _kind([("a", 1), ("b", 2)], [("a", 1), ("c", 3)], (1,), limited=True) == "real"
    assert _kind([("a", 1), ("b", 2)], [("x", 1), ("b", 2)], (1,), limited=True) == "real"
    assert _kind(["a"], ["b"], limited=True) == "same"
    assert _kind(["a"], [], limited=True) == "real"


def test_rows_of_duplicates_are_counted() -> None:
    assert _kind([1, 1, 2], [1, 2, 2]) == "real"
    found = answers.compare([(1,), (1,), (2,)], [(1,), (2,), (2,)], answers.Asked())
    assert (found.only_source, found.only_target) == (("1",), ("2",))
    assert _kind([(1, 2)], [(1,)]) == "real"


# -- what a query says of its answer


@pytest.mark.parametrize(
    ("sql", "keys", "hidden"),
    [
        ("SELECT a FROM t", None, 0),
        ("SELECT a, b FROM t ORDER BY b", (1,), 0),
        ("SELECT a AS x, b FROM t ORDER BY x DESC, 2", (0, 1), 0),
        ("SELECT a FROM t ORDER BY b, a", (-1, 0), 1),
        ("SELECT * FROM t ORDER BY b, c", (-1, -2), 2),
        ("SELECT DISTINCT a FROM t ORDER BY a", (0,), 0),
        ("SELECT a, count(*) FROM t GROUP BY a ORDER BY count(*) DESC", (1,), 0),
        ("SELECT a FROM t UNION SELECT b FROM u ORDER BY 1", (0,), 0),
    ],
)
def test_what_a_query_orders_by_is_seen_in_its_answer(sql: str, keys: tuple[int, ...] | None, hidden: int) -> None:
    tree, found = questions.told(queries.query(sql, ""))
    assert (found.keys, found.hidden) == (keys, hidden)
    given = tree.sql()
    assert given.count("sensei_order_") == hidden
    if hidden == 2:  # counted from the end: the last column is the first key
        assert given.index("c AS sensei") < given.index("b AS sensei")


# -- a workload's file


def test_a_file_is_split_at_semicolons_that_end_queries_and_each_is_called_by_its_comment() -> None:
    text = """-- a file of queries
-- name: first
SELECT ';' , "a;b" FROM t -- inside; still
WHERE x = 'it''s; fine';

SELECT $x$;$x$;
/* ; */ -- second
SELECT 2;
-- second
SELECT 3;;
-- nothing follows
"""
    found = list(workload.split(text, "q.sql"))
    assert [q.name for q in found] == ["first", "query 2", "second", "second (2)"]
    assert [q.at for q in found] == ["q.sql:3", "q.sql:6", "q.sql:8", "q.sql:10"]
    assert found[0].text.endswith("'it''s; fine'")


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.sql").write_bytes(b"SELECT '\xff'")
    for name in ("bad.sql", "gone.sql", "."):
        with pytest.raises(errors.BadInput, match="workload"):
            workload.contents(workload.file(name, tmp_path))


# -- the same question to another side


def _column(name: str, kind: types.Kind, native: str) -> catalog.Column:
    return catalog.Column(name, types.LogicalType(kind), native)


def _plan(native_total: str = "numeric(10,2)") -> scope.Plan:
    kinds = {
        "Id": types.Kind.INTEGER, "Total": types.Kind.DECIMAL, "Note": types.Kind.TEXT, "Paid": types.Kind.BOOLEAN,
        "order": types.Kind.INTEGER,
    }  # fmt: skip
    here = tuple(_column(n, k, "x") for n, k in kinds.items())
    there = tuple(
        _column({"Note": "re mark"}.get(n, n), k, native_total if n == "Total" else "y") for n, k in kinds.items()
    )
    orders = scope.Planned(
        "shop.Orders",
        catalog.Table(catalog.TableName("shop", "Orders"), here),
        catalog.Table(catalog.TableName("new", "sold"), there),
        {one.name: other.name for one, other in zip(here, there, strict=True)},
    )
    return scope.Plan((orders,), (), {}, ("shop",), ("new",), False)


def _put(sql: str, dialect: str, written: str = "mysql", native_total: str = "numeric(10,2)", **how: Any) -> str:
    tree = queries.query(sql, written)
    return asked.sql(tree, asked.Side(_plan(native_total), True, dialect, written), **how)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select id, NOTE from orders", 'SELECT "Id", "re mark" FROM "new"."sold" AS orders'),
        ("select o.note from shop.Orders o", 'SELECT o."re mark" FROM "new"."sold" AS o'),
        ("select Orders.note from Orders", 'SELECT Orders."re mark" FROM "new"."sold" AS Orders'),
        ("select `order` from orders", 'SELECT "order" FROM "new"."sold" AS orders'),
        ("select note as n from orders order by n", 'SELECT "re mark" AS n FROM "new"."sold" AS orders'),
        ("select 1 from orders where paid = 1", '"Paid" = TRUE'),
        ("with orders as (select 1 as id) select id from orders", "SELECT id FROM orders"),
        ("select x.note from (select note from orders) as x", 'SELECT x."re mark" FROM (SELECT "re mark" FROM'),
        (
            "select 1 from orders o where exists (select 1 from orders i where i.id = o.note)",
            'i."Id" = o."re mark"',
        ),
        ('select 1 from orders where note = "it\'s"', "\"re mark\" = 'it''s'"),
        ("select 1 /*! union select 2 */ from orders", 'SELECT 1 FROM "new"."sold" AS orders'),
    ],
)
def test_a_question_bears_the_targets_names_and_no_comment(sql: str, expected: str) -> None:
    assert expected in _put(sql, "postgres")


def test_a_question_keeps_its_meaning_where_types_differ() -> None:
    assert "DIV" in _put("SELECT id / 2 FROM orders", "mysql", "postgres")
    assert "DIV" not in _put("SELECT total / 2 FROM orders", "mysql", "postgres")
    as_text = _put("SELECT total FROM orders WHERE total > 5 ORDER BY total", "sqlite", "mysql", "numeric text(10,2)")
    assert as_text.count("CAST") == 2 and as_text.startswith('SELECT "Total" FROM')
    by_bytes = _put("SELECT note FROM orders WHERE note = 'a' GROUP BY note", "postgres", binary=True)
    assert by_bytes.count('COLLATE "C"') == 3
    assert 'AS "re mark"' in by_bytes
    with pytest.raises(errors.BadInput):
        queries.query("SELECT 1; DROP TABLE x", "postgres")


@pytest.mark.parametrize("dialect", queries.DIALECTS)
@pytest.mark.parametrize(
    "sql",
    [
        "WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x",
        "SELECT * INTO b FROM a",
        "SELECT * FROM a FOR UPDATE",
        "SELECT * FROM a INTO OUTFILE '/tmp/x'",
        "SELECT @a := 1",
        "SELECT nextval('s')",
        "SELECT load_file('/etc/passwd')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_export(1, '/tmp/x')",
        "SELECT pg_terminate_backend(1)",
        "SELECT * FROM dblink('x', 'DELETE FROM a') AS t(a int)",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT get_lock('a', 100)",
        "SELECT pg_catalog.pg_sleep(100)",
        "PRAGMA writable_schema = 1",
        "ATTACH 'x' AS y",
        "CALL f()",
        "VALUES (1)",
        "",
        ";",
        "(" * 400 + "SELECT 1" + ")" * 400,
    ],
)
def test_what_does_more_than_read_is_refused_in_every_dialect(dialect: str, sql: str) -> None:
    with pytest.raises(errors.BadInput):
        queries.query(sql, dialect)
