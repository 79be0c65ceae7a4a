"""Random checks, computed columns and indexes go to every other engine: what is carried means the same there."""

from __future__ import annotations

import decimal
import os
import re
import secrets
import time
from typing import Any

import pytest

import ends
import fix_sensei
import fuzz_expressions
import moves

#: Minutes in all for `make fuzz`; 0: the fixed budget of the tests.
MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
#: In the tests, each engine once as source and once as target.
WAYS = (
    [(a, b) for a in ends.ENGINES for b in ends.ENGINES if a != b]
    if MINUTES
    else [("postgres", "mysql"), ("mysql", "sqlite"), ("sqlite", "postgres")]
)
#: Rows that neither side has seen when the expressions were tried.
NEW = 60
#: One draw a way in the tests; or those of `FUZZ_SEEDS`.
SEEDS = [int(s) for s in os.environ.get("FUZZ_SEEDS", "1").split(",")]
_CONSTRAINT = re.compile(r"check|constraint|unique|duplicate", re.IGNORECASE)


def _carried(sensei: fix_sensei.Sensei, maker: ends.Maker, engine: str, to: str, seed: int) -> None:
    here, there = maker(engine)(), maker(to)()
    makes, generated, checks = fuzz_expressions.table(here, seed)
    schema = "public" if to == "postgres" else None
    move = moves.plan_move(sensei, here, there, name=f"e{seed}", schema=schema)
    told = [r["reason"] for r in move.plan["risks"]] + [f"{k} {n}: {why}" for k, n, why in move.left()]
    left = {name.rpartition(".")[2] for kind, name, _ in move.left() if kind == "check"}
    plain = {r["column"] for r in move.plan["risks"] if "arrives as a plain column" in r["reason"]}
    print("\n".join(told))
    move.start()
    # What a type of the target does not hold is announced, and goes to quarantine.
    kept = [q["key"]["id"] for q in move.quarantine()]
    reasons = [q["reason"] for q in move.quarantine()]
    assert not any(_CONSTRAINT.search(r) for r in reasons), (reasons, told)
    assert not kept or "quarantine" in " ".join(told), (reasons, told)
    columns = ["id", *fuzz_expressions.COLUMNS, *generated]
    assert _rows(there, columns) == [r for r in _rows(here, columns) if str(int(r[0])) not in kept], told
    both = [g for g in generated if g not in plain]
    for key in range(100, 100 + NEW):
        row = makes.row()
        why = fuzz_expressions.refusal(here, key, row)
        took = not why, fuzz_expressions.insert(there, key, _literals(row, engine, to))
        # What stays behind refuses no row there; nor does what the source can't reckon, such as a division by nought.
        lenient = bool(left or plain or _is_unique(move)) or not _CONSTRAINT.search(why)
        assert took[0] == took[1] or (lenient and took[1]), (row, why, took, told)
        if took == (True, True):
            wanted, found = (_rows(end, ["id", *both], key) for end in (here, there))
            assert found == wanted, (row, told)
        else:
            for end in (here, there):
                ends.run(end, f"DELETE FROM e WHERE id = {key}")
    for end in (here, there):
        ends.run(end, "DELETE FROM e WHERE id >= 100")
    assert len(checks) >= len(left)
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


def _is_unique(move: moves.Move) -> bool:
    return any(kind == "index" for kind, _, _ in move.left())


def _literals(row: list[str], engine: str, to: str) -> list[str]:
    """Return the values of a row as the other engine writes them: a backslash is doubled by one of them."""
    if engine == "mysql":
        return [v.replace("\\\\", "\\") for v in row]
    return [v.replace("\\", "\\\\") for v in row] if to == "mysql" else row


def _rows(end: ends.End, columns: list[str], key: int | None = None) -> list[tuple[Any, ...]]:
    where = "" if key is None else f" WHERE id = {key}"
    listed = ", ".join(fuzz_expressions.quoted(ends.engine(end), c) for c in columns)
    return [tuple(map(_plain, row)) for row in ends.ask(end, f"SELECT {listed} FROM e{where} ORDER BY id")]


def _plain(value: Any) -> Any:
    """Return a number as a number, whatever class the driver gives it, and anything else as text."""
    if isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool):
        return float(value)
    if value is None:
        return None
    try:
        return float(value)  # a decimal is a text on SQLite
    except (TypeError, ValueError):
        return str(value)


@pytest.mark.parametrize(("engine", "to"), WAYS, ids=[f"{a}-{b}" for a, b in WAYS])
def test_no_carried_expression_means_something_else_for_rows_that_come_later(
    sensei: fix_sensei.Sensei, maker: ends.Maker, engine: str, to: str
) -> None:
    until, seeds = time.monotonic() + MINUTES * 60 / len(WAYS), iter(SEEDS)
    while True:
        seed = secrets.randbelow(1 << 30) if MINUTES else next(seeds, None)
        if seed is None or (MINUTES and time.monotonic() > until):
            break
        print(f"seed {seed}")
        _carried(sensei, maker, engine, to, seed)
