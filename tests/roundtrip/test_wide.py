"""As many columns as the target takes are planned, copied, compared and taken back."""

from __future__ import annotations

import ends
import fix_sensei
import moves
import reader


def test_sixteen_hundred_columns_go_from_sqlite_to_postgresql(sensei: fix_sensei.Sensei, maker: ends.Maker) -> None:
    source, target = maker("sqlite")(), maker("postgres")()
    # Half of them NULL: a row of PostgreSQL has to fit into a page.
    columns = ", ".join(f"c{n} SMALLINT" for n in range(1, 1600))
    values = ", ".join(str(n % 90) if n % 2 else "NULL" for n in range(1, 1600))
    ends.run(source, f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {columns});")
    for n in range(3):
        ends.run(source, f"INSERT INTO wide VALUES ({n}, {values})")
    move = moves.plan_move(sensei, source, target)
    move.start()
    assert reader.compare_tables(source, "wide", target, "wide") == []
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


def test_a_table_that_no_page_of_mariadb_holds_is_refused_by_the_plan(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    source, target = maker("sqlite")(), maker("mysql")()
    ends.run(source, f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {', '.join(f'c{n} BIGINT' for n in range(1, 1017))})")
    ends.run(source, "CREATE TABLE small (id INTEGER PRIMARY KEY)")
    move = {"connections": {"from": moves.url(source), "to": moves.url(target)}, "name": "wide"}
    path = sensei.write("wide.yaml", {**move, "source": {"connection": "from"}, "target": {"connection": "to"}})
    refused = sensei("migrations", "create", "--config", path, json=True, expect=None)
    error = refused.data["error"]
    assert (error["code"], refused.returncode) == ("refused", 3), refused
    assert error["message"].startswith("wide can't be made on the target: its 1,017 columns take up to 8,")
    assert "source.exclude_tables" in error["details"]["hint"] and error["details"]["tables"] == ["wide"]
    assert ends.ask(target, "SHOW TABLES") == []
