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
