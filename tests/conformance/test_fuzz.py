"""Random databases go everywhere and home: each table the same, refused or announced, and no command crashes."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

import ends
import fidelity
import fix_sensei
import fuzz_schemas
import moves
import schema_facts

FOUND = Path(__file__).parent / "fuzz_found"  #: databases that once went wrong, as the failure printed them
WAYS = [(a, b) for a in ends.ENGINES for b in ends.ENGINES]
#: Minutes in all for `make fuzz`; 0: the fixed budget of the tests.
MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
#: Databases of one draw; the first is always the smallest there is.
EXAMPLES = 8 if MINUTES else 2
_numbers = itertools.count()


def _there_and_home(sensei: fix_sensei.Sensei, maker: ends.Maker, engine: str, to: str, sql: list[str]) -> None:
    """Carry a database there and home; raises where a table is silently different or a command ends otherwise."""
    source, away, home = maker(engine)(), maker(to)(), maker(engine)()
    fuzz_schemas.make(source, sql)
    tables = schema_facts.tables(source, None)
    number = next(_numbers)
    there, back = fidelity.Ended(), fidelity.Ended()
    how: dict[str, Any] = {"schema": "public"} if (engine, to) == ("mysql", "postgres") else {}
    move = fidelity.plan(sensei, source, away, f"there{number}", **how)
    fidelity.run(source, move, there, tables)
    assert there.silent == {}
    way: dict[str, Any] = {"schema": "public"} if engine == "postgres" else {}
    left = fidelity.plan(sensei, away, home, f"home{number}", **way)
    at_home = [(t, (t[0] if engine == "postgres" else "", t[1])) for t in tables]
    fidelity.go_home(move, left, there, back, at_home)
    assert back.silent == {}
    for one in (left, move):
        assert one.rollback("--verify").data["rollback_verification"] == moves.LINES


@pytest.mark.parametrize(("engine", "to"), WAYS, ids=[f"{a}-{b}" for a, b in WAYS])
def test_no_random_database_is_silently_different_there_or_at_home(
    sensei: fix_sensei.Sensei, maker: ends.Maker, engine: str, to: str
) -> None:
    def carried(data: st.DataObject) -> None:
        sql = fuzz_schemas.statements(engine, data.draw(fuzz_schemas.databases(engine)))
        hypothesis.note(json.dumps({"engine": engine, "to": to, "sql": sql}, ensure_ascii=False))
        _there_and_home(sensei, maker, engine, to, sql)

    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=not MINUTES,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],  # a migration takes a second: making a failure smaller would take an hour
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    until = time.monotonic() + MINUTES * 60 / len(WAYS)
    while True:
        run = settings(hypothesis.given(st.data())(carried))
        if MINUTES:
            seed = secrets.randbits(64)
            print(f"seed {seed}")
            run = hypothesis.seed(seed)(run)
        run()
        if time.monotonic() > until:
            break


@pytest.mark.parametrize("case", sorted(FOUND.glob("*.json")), ids=lambda p: p.stem)
def test_what_was_once_found_stays_right(sensei: fix_sensei.Sensei, maker: ends.Maker, case: Path) -> None:
    found = json.loads(case.read_text(encoding="utf-8"))
    _there_and_home(sensei, maker, found["engine"], found["to"], found["sql"])
