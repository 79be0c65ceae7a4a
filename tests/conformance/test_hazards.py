"""What a target does not hold is counted in the plan, with the keys of its rows, before anything is copied."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import extreme_values
import pytest

import ends
import fix_sensei
import moves
import reader
import servers_mysql

_VARIANTS = ["cfcd2084-95d5-65ef-66e7-dff9f98764da", "c4ca4238-a0b9-8382-0dcc-509a6f75849b", None]
#: MariaDB takes thirty-one containers in each other, and any number beside each other or in texts.
_DEEP = [
    *("[" * n + "]" * n for n in (31, 32)), *('{"a":' * n + "1" + "}" * n for n in (31, 32)),
    "[" + ",".join(["[]"] * 50) + "]", '["' + "[{" * 40 + '\\""]', '{"' + "[" * 40 + '": 1}',
]  # fmt: skip
POSTGRES: dict[str, list[Any]] = {
    **extreme_values.POSTGRES,
    "uuid": [*extreme_values.POSTGRES["uuid"], *_VARIANTS],
    "json": [*extreme_values.POSTGRES["json"], *_DEEP],
    "jsonb": [*extreme_values.POSTGRES["jsonb"], *_DEEP],
}
SQLITE: dict[str, list[Any]] = {
    **extreme_values.SQLITE,
    "UUID": [*extreme_values.SQLITE["UUID"], *_VARIANTS],
    "JSON": [*extreme_values.SQLITE["JSON"], *_DEEP],
    "TIMESTAMPTZ": [
        *extreme_values.SQLITE["TIMESTAMPTZ"], "1970-01-01 00:00:00Z", "2038-01-19 03:14:08Z", "1970-01-01 00:00:01Z",
    ],
}  # fmt: skip
#: Type -> values as SQL.
MYSQL: dict[str, list[str]] = {
    "date": ["'0000-00-00'", "'2026-00-00'", "'2026-05-00'", "'0000-05-05'", "'0001-01-01'", "'9999-12-31'", "NULL"],
    "datetime(6)": ["'0000-00-00'", "'2026-00-00 10:00:00'", "'0001-01-01'", "'9999-12-31 23:59:59.999999'", "NULL"],
    "timestamp(3) null": ["'0000-00-00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999'", "NULL"],
    "time(6)": [
        *("'-838:59:59'", "'838:59:59'", "'-00:00:00.000001'", "'24:00:00.000001'"), "'24:00:00'", "'00:00:00'", "NULL",
    ],
    "text": ["'nul \\0 inside'", "'\\0'", "''", "'plain'", "NULL"],
    "varchar(9) character set gbk": ["x'80'", "'plain'", "NULL"],
    "enum('a','b')": ["99", "'a'", "''", "NULL"],
    "enum('a','b','')": ["99", "'a'", "''", "NULL"],
    "float": ["-0e0", "0", "3.4028234663852886e38", "NULL"],
    "double": ["-0e0", "0", "1.7976931348623157e308", "NULL"],
    "bigint unsigned": ["18446744073709551615", "0", "NULL"],
    "bit(64)": ["b'1'", "18446744073709551615", "NULL"],
    "decimal(65,30)": ["99999999999999999999999999999999999.999999999999999999999999999999", "NULL"],
}  # fmt: skip
_ROWS = re.compile(r"^([\d,]+) of ([\d,]+) rows hold ")


def _name(native: str) -> str:
    return "v_" + re.sub(r"\W+", "_", native.replace("''", "none")).strip("_").lower()


def _quoted(value: Any) -> str:
    if value is None or isinstance(value, int | float):
        return {None: "NULL", float("inf"): "9e999", float("-inf"): "-9e999"}.get(value, repr(value))
    return f"x'{value.hex()}'" if isinstance(value, bytes) else "'" + value.replace("'", "''") + "'"


def _fill(end: moves.End, values: Mapping[str, Iterable[Any]]) -> None:
    engine = ends.engine(end)
    statements = ["SET sql_mode = ''"] if engine == "mysql" else []
    for native, found in values.items():
        made = f"CREATE TABLE {_name(native)} (id integer PRIMARY KEY, v {native})"
        statements.append(made + (" ENGINE=InnoDB" if engine == "mysql" else ""))
        for n, value in enumerate(found):
            if engine == "mysql":
                shown = str(value)
            else:
                shown = _quoted(value)
                if engine == "postgres" and value is not None:
                    shown = (
                        "E" + shown.replace("\\", "\\\\") if isinstance(value, str) else f"'\\x{value.hex()}'"
                    ) + f"::{native}"
            statements.append(f"INSERT INTO {_name(native)} VALUES ({n}, {shown})")
    if isinstance(end, servers_mysql.MysqlDatabase):
        end.execute(";\n".join(statements))
        return
    for statement in statements:
        ends.run(end, statement)


def _plan(sensei: fix_sensei.Sensei, source: moves.End, target: moves.End, **how: Any) -> moves.Move:
    there = {"schema": "public"} if ends.engine(target) == "postgres" else {}
    return moves.plan_move(sensei, source, target, **there, **how)


def _announced(move: moves.Move) -> dict[str, int]:
    """Rows that the plan says will go to quarantine, by table."""
    found: dict[str, int] = {}
    for risk in move.plan["risks"]:
        if (said := _ROWS.match(risk["reason"])) is not None:
            table = risk["table"].rpartition(".")[2]
            found[table] = found.get(table, 0) + int(said[1].replace(",", ""))
    return found


def _quarantined(move: moves.Move) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in move.quarantine():
        found.setdefault(row["table"].rpartition(".")[2], []).append(row)
    return found


@pytest.mark.parametrize(
    ("engine", "to"), [("postgres", "mysql"), ("postgres", "sqlite"), ("mysql", "postgres"), ("mysql", "sqlite"),
                       ("sqlite", "mysql"), ("sqlite", "postgres")]
)  # fmt: skip
def test_what_a_target_does_not_hold_is_counted_before_the_copy_and_is_just_what_goes_to_quarantine(
    sensei: fix_sensei.Sensei, maker: ends.Maker, engine: str, to: str
) -> None:
    source, target = maker(engine)(), maker(to)()
    values = {"postgres": POSTGRES, "mysql": MYSQL, "sqlite": SQLITE}[engine]
    _fill(source, values)
    move = _plan(sensei, source, target)
    announced = _announced(move)
    move.start()
    gone = _quarantined(move)
    assert {t: len(rows) for t, rows in gone.items()} == announced
    assert announced or (engine, to) == ("sqlite", "postgres")
    for table, rows in gone.items():
        reasons = [r["reason"] for r in move.plan["risks"] if r["table"].rpartition(".")[2] == table]
        if len(rows) <= 5:
            shown = " ".join(reasons)
            for row in rows:
                assert re.search(rf"\(id: (?:[^)]*; )?{row['key']['id']}[;)]", shown), (row["key"], shown)
        ends.run(source, f"DELETE FROM {table} WHERE id IN ({', '.join(str(r['key']['id']) for r in rows)})")
    differences = []
    for native in values:
        differences += [f"{native}: {d}" for d in reader.compare_tables(source, _name(native), target, _name(native))]
    assert differences == []


def test_with_stop_nothing_is_copied_while_a_row_is_there_that_the_target_does_not_hold(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    source, target = maker("mysql")(), maker("postgres")()
    _fill(source, {"date": ["'2026-00-00'", "'2026-01-01'", "'0000-00-00'"]})
    move = moves.plan_move(sensei, source, target, options={"on_row_error": "stop"})
    refused = move.start(json=True, expect=3).data["error"]
    assert "2 of 3 rows hold zero and partial dates" in refused["message"]
    assert "(id: 0; 2)" in refused["message"]
    assert _tables(target) == []


def _tables(end: moves.End) -> list[Any]:
    return ends.ask(end, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")


def test_rows_that_the_migration_leaves_out_are_not_counted(sensei: fix_sensei.Sensei, maker: ends.Maker) -> None:
    source, target = maker("postgres")(), maker("mysql")()
    _fill(source, {"date": ["infinity", "2026-01-01", "infinity"]})
    move = moves.plan_move(sensei, source, target, tables={"v_date": {"where": "id < 2"}})
    assert _announced(move) == {"v_date": 1}


def test_a_boolean_asked_for_takes_no_other_number_for_true(sensei: fix_sensei.Sensei, maker: ends.Maker) -> None:
    source, target = maker("mysql")(), maker("postgres")()
    _fill(source, {"tinyint(1)": ["0", "1", "2", "-1", "NULL"]})
    options = {"accept_lossy": ["v_tinyint_1.v"]}
    move = _plan(
        sensei, source, target, options=options, tables={"v_tinyint_1": {"columns": {"v": {"type": "boolean"}}}}
    )
    assert _announced(move) == {"v_tinyint_1": 2}
    move.start()
    assert len(_quarantined(move)["v_tinyint_1"]) == 2
    assert ends.ask(target, "SELECT id, v FROM v_tinyint_1 ORDER BY id") == [(0, False), (1, True), (4, None)]
